"""GradNorm: loss weights for equal training rates of tasks (Chen et al., ICML 2018)."""
from __future__ import annotations

from typing import Any, Sequence

import torch
from mmengine.dist import all_reduce
from mmengine.logging import MessageHub, print_log
from mmengine.registry import MODELS
from torch import Tensor, nn

EPSILON = 1e-12
LOWEST_WEIGHT = 1e-3  # of a task; a weight of zero would stay zero
BETAS = (0.9, 0.999)  # of the Adam steps of the weights
FIRST_SCALE = 2.**12  # of the losses before their gradients are measured


@MODELS.register_module()
class GradNorm(nn.Module):
    r"""Weight groups of losses, the tasks (CrossI2P, Eq. 17: dynamic collaborative training).

    In each update, with :math:`G_i = \|\nabla_W w_i L_i\|` on shared weights W, the
    training rate :math:`r_i = (L_i / L_i(0)) / \mathrm{mean}_j (L_j / L_j(0))` and the target
    :math:`\bar G r_i^\alpha`, treated as constant, the weights take an Adam step that decreases
    :math:`\sum_i |G_i - \bar G r_i^\alpha|` and are scaled to their initial sum. The losses of a
    step use the weights before the update of that step.

    - A task without a loss in a step, or whose loss is zero or has no gradient in W (a pose loss
      that begins later, a view without a pose), keeps its weight; the others share the rest of the
      sum. Its ``L_i(0)`` is that of its first step with a gradient.
    - Mixed precision: losses are multiplied by a power of two before their gradients are measured.
      If these overflow, the factor is halved and the weights are not updated. In float32 and
      bfloat16 the factor does not change the result.
    - Distributed training: gradients and losses are averaged over processes, so that the weights
      are those of one process with the whole batch. With accumulated gradients
      (``accumulative_counts``) each batch is a step of the weights.
    - With ``interval`` N only every N-th iteration of the runner measures gradients and updates the
      weights; the others cost nothing.
    - All state is in buffers, so that checkpoints contain it.

    The weights appear in the log as ``weight_<task>``, the ratios to the first loss as
    ``ratio_<task>``.

    Args:
        tasks: Names of losses for each task; a name ending in ``*`` matches all with this prefix.
            Losses without a task are not weighted.
        shared: Prefixes of the names of the shared parameters W, as in ``named_parameters()``. A
            few are enough: those of the last layers that all tasks share.
        alpha: Exponent of the training rate; larger values favour slow tasks more.
        lr: Learning rate of the weights.
        momentum: Momentum of running means of gradient norms and losses; 0: use those of the step.
            The sum above has absolute values, so its minimum depends on medians. With one scan per
            step, the pose loss is mostly small and rarely huge: without momentum the weights follow
            the small values and give the task nearly all weight.
        interval: Iterations between two updates of the weights; 1: all, as in the paper.

    Raises:
        ValueError: If there are fewer than two tasks, names are no lists, or a number is out of
            range; in the first step, if ``shared`` matches no trainable parameter, or the names
            match no loss, or one loss twice.

    Example:
        >>> model = dict(type='NCLR', loss_balancer=dict(
        ...     type='GradNorm',
        ...     tasks=dict(matching=['loss_point', 'loss_pixel'], overlap=['loss_overlap'],
        ...                pose=['loss_pose']),
        ...     shared=['image_branch.decoder']))
    """

    def __init__(self,
                 tasks: dict[str, Sequence[str]],
                 shared: Sequence[str],
                 alpha: float = 0.5,
                 lr: float = 0.025,
                 momentum: float = 0.,
                 interval: int = 1) -> None:
        super().__init__()
        if len(tasks) < 2:
            raise ValueError(f'GradNorm: expected at least two tasks, found {list(tasks)}.')
        if not 0 <= momentum < 1:
            raise ValueError(f'GradNorm: expected momentum in [0, 1), found {momentum}.')
        if not isinstance(interval, int) or interval < 1 or lr < 0:
            raise ValueError('GradNorm: expected a whole interval of at least 1 and lr >= 0, found '
                             f'{interval} and {lr}.')
        if any(isinstance(names, str) for names in (shared, *tasks.values())):
            raise ValueError('GradNorm: expected lists of names, found text: '
                             f'tasks={dict(tasks)}, shared={shared!r}.')
        self.tasks = {name: tuple(losses) for name, losses in tasks.items()}
        self.shared = tuple(shared)
        self.alpha = alpha
        self.lr = lr
        self.momentum = momentum
        self.interval = interval
        self._names_checked = False
        count = len(tasks)
        self.register_buffer('weights', torch.ones(count))
        self.register_buffer('first_losses', torch.zeros(count))
        # Means of norms and losses; without momentum they are no state.
        self.register_buffer('means', torch.zeros(2, count), persistent=momentum > 0)
        self.register_buffer('moments', torch.zeros(2, count))
        self.register_buffer('steps', torch.zeros(count))
        self.register_buffer('scale', torch.tensor(FIRST_SCALE))

    def forward(self, losses: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        """Weight the losses, and add the weights for the log; in evaluation change nothing.

        Args:
            losses: Losses of a step by name, with their graphs.
            model: Model with the parameters ``shared``.
        """
        if not self.training or not torch.is_grad_enabled():
            return losses
        if not self._names_checked:
            self._check_names(losses)
        totals = self._totals(losses)
        current = self.weights.clone()  # before the update for the next step
        if MessageHub.get_current_instance().get_info('iter', 0) % self.interval == 0:
            self._update(totals, self._shared_parameters(model))
        weighted, log = dict(losses), {}
        for index, task in enumerate(self.tasks):
            for name in self._names(task, losses):
                weighted[name] = current[index] * _mean(losses[name])
            log[f'weight_{task}'] = current[index]
            log[f'ratio_{task}'] = self._ratio(totals[task], index)
        return {**weighted, **log}

    def _check_names(self, losses: dict[str, Tensor]) -> None:
        """Refuse tasks that share a loss, and log those without any."""
        found = {task: self._names(task, losses) for task in self.tasks}
        names = [name for of_task in found.values() for name in of_task]
        absent = [task for task, of_task in found.items() if not of_task]
        if len(names) > len(set(names)) or not names:
            raise ValueError('GradNorm: expected tasks with losses of their own, found '
                             f'{found} of the losses {list(losses)}.')
        if absent:
            print_log(f'GradNorm: no loss yet of the tasks {absent}; losses: {list(losses)}.',
                      logger='current')
        self._names_checked = True

    def _names(self, task: str, losses: dict[str, Any]) -> list[str]:
        return [name for name in losses if any(
            name == pattern or pattern.endswith('*') and name.startswith(pattern[:-1])
            for pattern in self.tasks[task])]

    def _totals(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss of each task; a zero without a graph if it has none."""
        zero = self.weights.new_zeros(())
        return {task: sum((_mean(losses[name]) for name in self._names(task, losses)), zero)
                for task in self.tasks}

    def _ratio(self, total: Tensor, index: int) -> Tensor:
        return total.detach() / self.first_losses[index].clamp(min=EPSILON) * (
            self.first_losses[index] > 0)

    def _shared_parameters(self, model: nn.Module) -> list[nn.Parameter]:
        named = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
        parameters = [value for name, value in named if name.startswith(self.shared)]
        if not parameters:
            raise ValueError(f'GradNorm: shared={list(self.shared)} matches no parameter to train; '
                             f'expected prefixes of names such as {[n for n, _ in named[:5]]}.')
        return parameters

    def _update(self, totals: dict[str, Tensor], shared: list[nn.Parameter]) -> None:
        gradients = torch.stack([self.gradient(total, shared) for total in totals.values()])
        with torch.no_grad():
            values = torch.stack([total.detach().float() for total in totals.values()])
            all_reduce(gradients, 'mean')
            all_reduce(values, 'mean')
            norms = gradients.norm(dim=1) / self.scale
            finite = norms.isfinite().all() & values.isfinite().all()
            self.scale.copy_(torch.where(finite, self.scale, (self.scale / 2).clamp(min=1.)))
            active = (norms > 0) & finite
            begins = active & (self.first_losses == 0)
            self.first_losses.copy_(torch.where(begins, values, self.first_losses))
            self._step(torch.where(active, norms, 0.), torch.where(active, values, 0.),
                       active & (active.sum() > 1))

    def gradient(self, total: Tensor, shared: list[nn.Parameter]) -> Tensor:
        """Return the scaled gradient of a task's loss in W as one vector, and keep the graph.

        Args:
            total: Loss of the task.
            shared: Parameters W, whose ``grad`` does not change.
        """
        if not total.requires_grad:
            return torch.zeros(sum(value.numel() for value in shared), device=total.device)
        parts = torch.autograd.grad(total * self.scale.clone(), shared, retain_graph=True,
                                    allow_unused=True)
        return torch.cat([torch.zeros_like(value).flatten() if part is None else part.flatten()
                          for part, value in zip(parts, shared)]).float()

    def _step(self, norms: Tensor, values: Tensor, active: Tensor) -> None:
        """Take an Adam step on the active weights, and restore their sum.

        It selects by masks, because indexing would wait for a GPU.
        """
        count = active.sum().clamp(min=1)

        def total(value: Tensor) -> Tensor:
            return torch.where(active, value, 0.).sum()

        steps = self.steps + 1
        means = torch.lerp(torch.stack((norms, values)), self.means, self.momentum)
        norms, values = means / (1 - self.momentum**steps)

        weighted = self.weights * norms
        ratio = values / self.first_losses.clamp(min=EPSILON)
        rate = ratio / (total(ratio) / count).clamp(min=EPSILON)
        target = total(weighted) / count * rate.clamp(min=0)**self.alpha
        gradient = (weighted - target).sign() * norms

        first = torch.lerp(gradient, self.moments[0], BETAS[0])
        second = torch.lerp(gradient.square(), self.moments[1], BETAS[1])
        change = first / (1 - BETAS[0]**steps) / (
            (second / (1 - BETAS[1]**steps)).sqrt() + EPSILON)
        moved = (self.weights - self.lr * change).clamp(min=LOWEST_WEIGHT)
        moved = moved * total(self.weights) / total(moved).clamp(min=EPSILON)
        for state, new in ((self.means, means), (self.steps, steps),
                           (self.moments, torch.stack((first, second))), (self.weights, moved)):
            state.copy_(torch.where(active, new, state))


def _mean(loss: Any) -> Tensor:
    """Reduce a loss as mmengine does: the mean of a tensor, the sum of a list's means."""
    if isinstance(loss, Tensor):
        return loss.mean()
    return sum(value.mean() for value in loss)
