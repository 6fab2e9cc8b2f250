"""GradNorm against a transcription with autograd and torch's Adam."""
import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from torch import nn

import nclr_plugin  # noqa: F401
from nclr_plugin.models.losses import gradnorm
from nclr_plugin.models.pretrainers.base import CalibrationModel

TASKS = dict(small=['loss_small'], large=['loss_large*'], late=['loss_late'])


class Net(CalibrationModel):
    """A shared layer and three tasks of very different size; the last one begins later."""

    def __init__(self, balancer=None, half=False):
        super().__init__(loss_balancer=balancer)
        self.shared = nn.Linear(4, 6)
        self.heads = nn.ModuleList(nn.Linear(6, 1) for _ in range(3))
        self.half, self.late = half, False

    def forward(self, x):
        return self.losses(x)

    def extract_features(self, *args):
        raise AssertionError('forward is overridden')

    loss = match_points = extract_features

    def losses(self, x):
        hidden = torch.tanh(self.shared(x))
        if self.half:  # as under autocast: gradients of these pass in float16
            hidden = (hidden * 1e-3).half().float() * 1e3
        values = [head(hidden).square().mean() for head in self.heads]
        losses = dict(loss_small=1e-2 * values[0], loss_large_a=30 * values[1],
                      loss_large_b=[10 * values[1].expand(2)], loss_other=values[0])
        if self.late:
            losses['loss_late'] = values[2]
        return losses


def make(half=False, **options):
    torch.manual_seed(0)
    settings = dict(type='GradNorm', tasks=TASKS, shared=['shared'], alpha=0.7, lr=0.05)
    return Net({**settings, **options}, half)


def transcription(net, steps, alpha=0.7, lr=0.05):
    """Chen et al., Algorithm 1, with a second backward pass through the gradients' norms."""
    weights = [torch.ones((), requires_grad=True) for _ in TASKS]
    optimizers = [torch.optim.Adam([weight], lr=lr, eps=1e-12) for weight in weights]
    first, history = {}, []
    for step, x in enumerate(steps):
        net.late = step >= 2
        losses = net.losses(x)
        totals = [losses['loss_small'], losses['loss_large_a'] + losses['loss_large_b'][0].mean(),
                  losses.get('loss_late')]
        history.append([float(weight) for weight in weights])
        active = [i for i, total in enumerate(totals) if total is not None]
        for i in active:
            first.setdefault(i, float(totals[i]))
        parameters = list(net.shared.parameters())
        norms = {i: torch.cat([g.flatten() for g in torch.autograd.grad(
            weights[i] * totals[i], parameters, create_graph=True)]).norm() for i in active}
        ratio = {i: float(totals[i]) / first[i] for i in active}
        mean_ratio = sum(ratio.values()) / len(active)
        mean_norm = float(sum(norms.values())) / len(active)
        loss = sum((norms[i] - mean_norm * (ratio[i] / mean_ratio)**alpha).abs() for i in active)
        before = sum(float(weights[i]) for i in active)
        for i in active:
            optimizers[i].zero_grad()
        loss.backward(retain_graph=True)
        for i in active:
            optimizers[i].step()
        after = sum(float(weights[i]) for i in active)
        with torch.no_grad():
            for i in active:
                weights[i] *= before / after
        _descend(net, sum(torch.tensor(history[-1][i]) * totals[i] for i in active)
                 + losses['loss_other'])
    return history


def _descend(net, loss):
    parameters = [p for n, p in net.named_parameters() if 'balancer' not in n]
    for value, gradient in zip(parameters, torch.autograd.grad(
            loss, parameters, allow_unused=True)):
        if gradient is not None:
            value.data -= 1e-3 * gradient


def data(count=6, size=8):
    torch.manual_seed(5)
    return list(torch.randn(count, size, 4))


def course(net, steps):
    history = []
    for step, x in enumerate(steps):
        net.late = step >= 2
        total, log = net.parse_losses(net.losses(x))
        history.append([float(log[f'weight_{task}']) for task in TASKS])
        _descend(net, total)
    return history


def test_weights_are_those_of_the_algorithm():
    expected = transcription(make(), data())
    found = course(make(), data())
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=1e-4, atol=1e-5)
    assert abs(found[-1][0] - 1) > 0.1 and sum(found[-1]) == pytest.approx(3)


def test_between_two_updates_nothing_is_measured_and_weights_stay(monkeypatch):
    hub = MessageHub.get_instance('test_gradnorm')
    monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)
    net, measured = make(interval=3), []
    gradient = net.loss_balancer.gradient
    net.loss_balancer.gradient = lambda total, shared: (
        measured.append(hub.get_info('iter')), gradient(total, shared))[1]
    history = []
    for iteration, x in enumerate(data(7)):
        hub.update_info('iter', iteration)
        history += course(net, [x])
    assert measured == [0] * 3 + [3] * 3 + [6] * 3  # three tasks each
    changes = (torch.tensor(history).diff(dim=0).abs() > 0).any(dim=1)
    assert changes.tolist() == [True, False, False, True, False, False]


@pytest.mark.parametrize('options', [
    dict(interval=0), dict(interval=-3), dict(interval=2.5), dict(lr=-1), dict(shared='shared'),
    dict(tasks=dict(a='loss_small', b=['loss_large*']))])
def test_wrong_settings_are_reported(options):
    with pytest.raises(ValueError, match='GradNorm: expected'):
        make(**options)


@pytest.mark.parametrize('names', [
    dict(a=['loss_*'], b=['loss_small']), dict(a=['loss_smal'], b=['losses_large'])])
def test_losses_of_two_tasks_and_of_none_are_reported(names):
    net = make(tasks=names)
    with pytest.raises(ValueError, match='losses of their own, found .*loss_large_a'):
        net.parse_losses(net.losses(data()[0]))


def test_a_task_without_a_loss_is_in_the_log(log_of):
    net, lines = make(), log_of(gradnorm)
    for x in data(2):
        net.parse_losses(net.losses(x))
    assert len(lines) == 1 and "no loss yet of the tasks ['late']" in lines[0]


def test_small_gradients_gain_and_large_ones_lose():
    net = make()
    history = course(net, data(30))
    assert history[-1][0] > 1.2 and history[-1][1] < 0.8


def test_weights_and_ratios_are_logged_and_not_added():
    net = make()
    losses = net.losses(data()[0])
    total, log = net.parse_losses(losses)
    assert {'weight_small', 'ratio_large', 'weight_late', 'ratio_late'} <= set(log)
    plain, _ = BaseModel.parse_losses(net, losses)
    torch.testing.assert_close(total, plain)  # at the first step all weights are one
    assert log['ratio_small'] == 1 and log['ratio_late'] == 0


def test_switched_off_is_fixed_weights():
    net = Net()
    losses = net.losses(data()[0])
    total, log = net.parse_losses(losses)
    plain, plain_log = BaseModel.parse_losses(net, losses)
    assert torch.equal(total, plain) and list(log) == list(plain_log)
    frozen = make(lr=0.)
    for x in data():
        assert torch.equal(frozen.parse_losses(frozen.losses(x))[0],
                           BaseModel.parse_losses(frozen, frozen.losses(x))[0])


def test_no_gradient_is_left_behind_and_the_backward_pass_still_works():
    net = make()
    total, _ = net.parse_losses(net.losses(data()[0]))
    assert all(p.grad is None for p in net.parameters())
    total.backward()
    assert net.shared.weight.grad is not None


def test_state_resumes_from_a_checkpoint():
    whole = course(make(), data())
    net = make()
    course(net, data()[:3])
    again = make()
    again.load_state_dict(copy.deepcopy(net.state_dict()))
    rest = []
    for x in data()[3:]:
        again.late = True
        total, log = again.parse_losses(again.losses(x))
        rest.append([float(log[f'weight_{task}']) for task in TASKS])
        _descend(again, total)
    assert rest == whole[3:]


def test_half_precision_gradients_neither_vanish_nor_overflow():
    norms = []
    for half, scale in ((False, 4096.), (True, 4096.), (True, 1.)):
        net = make(half)
        net.loss_balancer.scale.fill_(scale)
        total = 1e-8 * net.losses(data()[0])['loss_small']
        gradient = net.loss_balancer.gradient(total, list(net.shared.parameters()))
        norms.append(float(gradient.norm()) / scale)
    assert norms[1] == pytest.approx(norms[0], rel=0.05)
    assert norms[2] != pytest.approx(norms[0], rel=0.05)  # what the scale is for
    net.loss_balancer.scale.fill_(2.**40)  # overflows float16: the step is left out
    net.parse_losses(net.losses(data()[0]))
    assert torch.equal(net.loss_balancer.weights, torch.ones(3))
    assert net.loss_balancer.scale == 2.**39


def test_not_a_number_changes_no_weight():
    net = make()
    net.parse_losses(net.losses(torch.full((8, 4), float('nan'))))
    assert torch.equal(net.loss_balancer.weights, torch.ones(3))
    assert torch.equal(net.loss_balancer.first_losses, torch.zeros(3))


def test_evaluation_weighs_nothing():
    net = make().eval()
    losses = net.losses(data()[0])
    assert net.loss_balancer(losses, net) is losses


def test_wrong_names_are_reported():
    with pytest.raises(ValueError, match='at least two tasks'):
        MODELS.build(dict(type='GradNorm', tasks=dict(one=['loss']), shared=['x']))
    net = make(shared=['nothing'])
    with pytest.raises(ValueError, match=r"shared=\['nothing'\] matches no parameter to train"):
        net.parse_losses(net.losses(data()[0]))


def test_two_processes_have_the_weights_of_one_with_the_whole_batch(tmp_path):
    script = tmp_path / 'rank.py'
    script.write_text('\n'.join([
        'import sys, torch',
        f'sys.path.insert(0, {str(Path(__file__).parent)!r})',
        'import test_gradnorm as t',
        'torch.distributed.init_process_group("gloo")',
        'rank = torch.distributed.get_rank()',
        'net = t.make()',
        'wrapped = torch.nn.parallel.DistributedDataParallel(net)',
        'history = []',
        'for x in t.data():',
        '    net.late = True',
        '    net.zero_grad()',
        '    total, log = net.parse_losses(wrapped(x[rank * 4:rank * 4 + 4]))',
        '    total.backward()',
        '    history.append([float(log["weight_" + task]) for task in t.TASKS])',
        'torch.save((history, net.shared.weight.grad), sys.argv[1] + str(rank))']))
    subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2',
         str(script), str(tmp_path / 'weights')], check=True, timeout=900,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(Path(__file__).parents[2])})
    found = [torch.load(tmp_path / f'weights{rank}') for rank in range(2)]
    net = make()
    expected = []
    for x in data():
        net.late = True
        net.zero_grad()
        total, log = net.parse_losses(net.losses(x))
        total.backward()
        expected.append([float(log[f'weight_{task}']) for task in TASKS])
    (weights, gradient), (of_other, other_gradient) = found
    assert weights == of_other and torch.equal(gradient, other_gradient)
    assert weights[-1] == pytest.approx(expected[-1], rel=1e-4) and weights[-1][0] != 1
    torch.testing.assert_close(gradient, net.shared.weight.grad, rtol=1e-3, atol=1e-5)


def test_a_pose_loss_that_is_raised_by_a_schedule_is_no_task_that_gets_worse():
    """Weights and ratios are those without the schedule; the loss that is trained has it."""
    def course_of(scales):
        torch.manual_seed(0)
        net = Net(dict(type='GradNorm', shared=['shared'],
                       tasks=dict(small=['loss_small'], pose=['loss_pose'])))
        logs = []
        for net.pose_loss_scale, x in zip(scales, data()):
            losses = net.losses(x)
            total, log = net.parse_losses(dict(
                loss_small=losses['loss_small'], loss_pose=losses['loss_large_a']))
            weighed = [log.pop('loss_small'), log.pop('loss_pose')]
            assert total == log.pop('loss') == sum(weighed)
            logs.append(({name: float(value) for name, value in log.items()}, float(weighed[1])))
        return logs

    raised, full = course_of([0.01, 0.02, 0.05, 0.3, 0.6, 1.]), course_of([1.] * 6)
    for scale, (log, pose), (expected, expected_pose) in zip(
            [0.01, 0.02, 0.05, 0.3, 0.6, 1.], raised, full):
        assert log == expected
        assert pose == pytest.approx(scale * expected_pose, rel=1e-6)
    assert full[-1][0]['weight_pose'] != 1


class Line(nn.Module):
    """Losses that are multiples of one shared number, which are their gradients, too."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Parameter(torch.ones(()))

    def course(self, factors, **options):
        """Weights of `rare` after steps with these gradients, beside a steady gradient of one."""
        balancer = MODELS.build(dict(
            type='GradNorm', tasks=dict(steady=['loss_steady'], rare=['loss_rare']),
            shared=['shared'], alpha=0., **options))
        for factor in factors:
            log = balancer(dict(loss_steady=self.shared, loss_rare=factor * self.shared), self)
            yield float(log['weight_rare'])


def test_running_means_see_what_is_rare():
    # Its gradient is 0.1 in the median and 2.09 in the mean.
    factors = ([0.1] * 9 + [20.]) * 60
    assert list(Line().course(factors))[-1] > 1.5
    weights = list(Line().course(factors, momentum=0.98))[300:]
    balanced = 2 / (1 + 2.09)  # of a sum of two, equal products of weight and mean
    assert sum(weights) / len(weights) == pytest.approx(balanced, rel=0.15)


def test_running_means_of_what_does_not_change_change_nothing():
    plain, averaged = (list(Line().course([3.] * 30, momentum=momentum)) for momentum in (0., 0.9))
    assert plain == pytest.approx(averaged, rel=1e-5)
    assert plain[-1] < 0.8


@pytest.mark.parametrize('momentum', [-0.1, 1.])
def test_a_momentum_that_forgets_nothing_is_reported(momentum):
    with pytest.raises(ValueError, match='momentum in'):
        make(momentum=momentum)


def test_running_means_are_in_a_checkpoint_if_they_are_used():
    for momentum, kept in ((0., False), (0.9, True)):
        assert ('loss_balancer.means' in make(momentum=momentum).state_dict()) == kept


def test_accumulated_gradients_are_the_mean_of_the_weighed_ones():
    """By mmdet3d's wrapper; each of the batches moves the weights."""
    stepped, expected = make(), make()
    wrapper = OptimWrapper(torch.optim.SGD(stepped.parameters(), lr=1.), accumulative_counts=2)
    wrapper.initialize_count_status(stepped, 0, 4)
    history = []
    for number, x in enumerate(data(4)):
        stepped.late = expected.late = True
        before = copy.deepcopy(stepped.state_dict())
        total, log = stepped.parse_losses(stepped.losses(x))
        wrapper.update_params(total)
        history.append(float(log['weight_small']))
        moved = not torch.equal(stepped.shared.weight, before['shared.weight'])
        assert moved == (number % 2 == 1)
        (expected.parse_losses(expected.losses(x))[0] / 2).backward()
        if moved:
            with torch.no_grad():
                for parameter in expected.parameters():
                    parameter -= parameter.grad
            expected.zero_grad()
        torch.testing.assert_close(stepped.state_dict(), expected.state_dict())
    assert len(set(history)) == 4
