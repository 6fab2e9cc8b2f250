"""GradNorm: loss weights by which all tasks train at similar rates (Chen et al., ICML 2018)."""
from __future__ import annotations

from typing import Any, Dict, List, Sequence

import torch
from mmengine.dist import all_reduce
from mmengine.registry import MODELS
from torch import Tensor, nn

EPSILON = 1e-12
LOWEST_WEIGHT = 1e-3  # of a task; a weight of zero would never come back
BETAS = (0.9, 0.999)  # of the Adam steps on the weights
FIRST_SCALE = 2.**12  # of the losses whose gradients are measured


@MODELS.register_module()
class GradNorm(nn.Module):
    r"""Weighs groups of losses, the tasks (CrossI2P, Eq. 17: its dynamic collaborative training).

    At every step in training, with :math:`G_i = \|\nabla_W w_i L_i\|` on shared weights W, the
    training rate :math:`r_i = (L_i / L_i(0)) / \mathrm{mean}_j (L_j / L_j(0))` and the target
    :math:`\bar G r_i^\alpha`, held constant, the weights take an Adam step down
    :math:`\sum_i |G_i - \bar G r_i^\alpha|` and are scaled to their first sum. The losses of a
    step are weighed with the weights from before that step's update.

    - A task that has no loss in a step, or whose loss is zero or has no gradient in W (a pose loss
      that begins later, a view without a pose), keeps its weight; the others share what is left.
      Its ``L_i(0)`` is taken when it first has a gradient.
    - Mixed precision: gradients are measured of losses multiplied by a power of two, which is
      halved when they overflow; that step updates nothing. In float32 and bfloat16 the factor
      changes no bit of the result.
    - Several processes: gradients and losses are averaged over them, so that all have the same
      weights as one process with the whole batch would. With accumulated gradients
      (``accumulative_counts``) each of the batches is a step of the weights.
    - All state is in buffers: checkpoints carry it, and a resumed run goes on where it was.

    The weights appear in the log as ``weight_<task>``, the ratios to the first loss as
    ``ratio_<task>``.

    Args:
        tasks: Names of losses for each task; a name ending in ``*`` stands for all that begin so.
            A loss of no task keeps its weight.
        shared: Beginnings of the names of the shared parameters W, as in ``named_parameters()``.
            Few of them will do: those of the last layers that all tasks use.
        alpha: How strongly a slow task is favoured.
        lr: Step of the weights.
        momentum: Share of the past in the running means that stand for gradient norms and losses;
            0: those of the step alone. The sum above is one of absolute values, so steps down it
            follow the median: of a scan a step, whose pose loss is mostly small and now and then
            huge, they see the small one and give the huge one nearly all weight.

    Raises:
        ValueError: When there are fewer than two tasks, or ``momentum`` is not in [0, 1); in the
            first step, when ``shared`` names no trainable parameter.

    Example:
        >>> model = dict(type='NCLR', loss_balancer=dict(
        ...     type='GradNorm',
        ...     tasks=dict(matching=['loss_point', 'loss_pixel'], overlap=['loss_overlap'],
        ...                pose=['loss_pose']),
        ...     shared=['image_branch.decoder']))
    """

    def __init__(self,
                 tasks: Dict[str, Sequence[str]],
                 shared: Sequence[str],
                 alpha: float = 0.5,
                 lr: float = 0.025,
                 momentum: float = 0.) -> None:
        super().__init__()
        if len(tasks) < 2:
            raise ValueError(f'GradNorm: expected at least two tasks, found {list(tasks)}.')
        if not 0 <= momentum < 1:
            raise ValueError(f'GradNorm: expected momentum in [0, 1), found {momentum}.')
        self.tasks = {name: tuple(losses) for name, losses in tasks.items()}
        self.shared = tuple(shared)
        self.alpha = alpha
        self.lr = lr
        self.momentum = momentum
        count = len(tasks)
        self.register_buffer('weights', torch.ones(count))
        self.register_buffer('first_losses', torch.zeros(count))
        # Of norms and losses; without momentum they are no state, and no checkpoint needs them.
        self.register_buffer('means', torch.zeros(2, count), persistent=momentum > 0)
        self.register_buffer('moments', torch.zeros(2, count))
        self.register_buffer('steps', torch.zeros(count))
        self.register_buffer('scale', torch.tensor(FIRST_SCALE))

    def forward(self, losses: Dict[str, Tensor], model: nn.Module) -> Dict[str, Tensor]:
        """Weighed losses, and the weights for the log; in evaluation the losses as they are.

        Args:
            losses: Losses of one step, by name, with their graphs.
            model: Whose parameters ``shared`` names.
        """
        if not self.training or not torch.is_grad_enabled():
            return losses
        totals = self._totals(losses)
        current = self.weights.clone()  # the update below is for the next step
        self._update(totals, self._shared_parameters(model))
        weighed, log = dict(losses), {}
        for index, task in enumerate(self.tasks):
            for name in self._names(task, losses):
                weighed[name] = current[index] * _mean(losses[name])
            log[f'weight_{task}'] = current[index]
            log[f'ratio_{task}'] = self._ratio(totals[task], index)
        return {**weighed, **log}

    def _names(self, task: str, losses: Dict[str, Any]) -> List[str]:
        return [name for name in losses if any(
            name == pattern or pattern.endswith('*') and name.startswith(pattern[:-1])
            for pattern in self.tasks[task])]

    def _totals(self, losses: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Return the loss of each task; a zero without a graph where it has none."""
        nothing = self.weights.new_zeros(())
        return {task: sum((_mean(losses[name]) for name in self._names(task, losses)), nothing)
                for task in self.tasks}

    def _ratio(self, total: Tensor, index: int) -> Tensor:
        return total.detach() / self.first_losses[index].clamp(min=EPSILON) * (
            self.first_losses[index] > 0)

    def _shared_parameters(self, model: nn.Module) -> List[nn.Parameter]:
        named = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
        found = [value for name, value in named if name.startswith(self.shared)]
        if not found:
            raise ValueError(f'GradNorm: shared={list(self.shared)} names no trainable parameter; '
                             f'expected beginnings of names such as {[n for n, _ in named[:5]]}.')
        return found

    def _update(self, totals: Dict[str, Tensor], shared: List[nn.Parameter]) -> None:
        gradients = torch.stack([self._gradient(total, shared) for total in totals.values()])
        with torch.no_grad():
            values = torch.stack([total.detach().float() for total in totals.values()])
            all_reduce(gradients, 'mean')
            all_reduce(values, 'mean')
            norms = gradients.norm(dim=1) / self.scale
            if not (norms.isfinite().all() and values.isfinite().all()):
                self.scale.copy_((self.scale / 2).clamp(min=1.))
                return
            active = norms > 0
            begins = active & (self.first_losses == 0)
            self.first_losses.copy_(torch.where(begins, values, self.first_losses))
            if active.sum() > 1:
                self._step(norms, values, active)

    def _gradient(self, total: Tensor, shared: List[nn.Parameter]) -> Tensor:
        """Gradient of a task's loss in W times the scale, as one vector; nobody's graph is freed
        and nobody's ``grad`` is touched."""
        if not total.requires_grad:
            return torch.zeros(sum(value.numel() for value in shared), device=total.device)
        parts = torch.autograd.grad(total * self.scale.clone(), shared, retain_graph=True,
                                    allow_unused=True)
        return torch.cat([torch.zeros_like(value).flatten() if part is None else part.flatten()
                          for part, value in zip(parts, shared)]).float()

    def _step(self, norms: Tensor, values: Tensor, active: Tensor) -> None:
        """Adam on the active weights, and their old sum."""
        weights = self.weights[active]
        steps = self.steps[active] + 1
        means = torch.lerp(torch.stack((norms, values))[:, active], self.means[:, active],
                           self.momentum)
        self.means[:, active] = means
        norms, values = means / (1 - self.momentum**steps)

        weighed = weights * norms
        ratio = values / self.first_losses[active].clamp(min=EPSILON)
        rate = ratio / ratio.mean().clamp(min=EPSILON)
        target = weighed.mean() * rate.clamp(min=0)**self.alpha
        gradient = (weighed - target).sign() * norms

        first = torch.lerp(gradient, self.moments[0, active], BETAS[0])
        second = torch.lerp(gradient.square(), self.moments[1, active], BETAS[1])
        self.steps[active] = steps
        self.moments[0, active], self.moments[1, active] = first, second
        change = first / (1 - BETAS[0]**steps) / (
            (second / (1 - BETAS[1]**steps)).sqrt() + EPSILON)
        moved = (weights - self.lr * change).clamp(min=LOWEST_WEIGHT)
        self.weights[active] = moved * weights.sum() / moved.sum()


def _mean(loss: Any) -> Tensor:
    """mmengine's reading of a loss: a tensor's mean, the sum of a list's."""
    if isinstance(loss, Tensor):
        return loss.mean()
    return sum(value.mean() for value in loss)
