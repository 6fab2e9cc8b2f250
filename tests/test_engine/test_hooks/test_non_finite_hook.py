import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

from nclr_plugin.engine import NonFiniteHook

ROOT = Path(__file__).resolve().parents[3]
IN_ORDER = {'train_dataloader.sampler.shuffle': False}  # iteration i reads frames 2i and 2i + 1


def log_of(path):
    return '\n'.join(p.read_text() for p in path.rglob('*.log'))


def snapshot(runner):
    optimizer = runner.optim_wrapper.optimizer
    return ({k: v.clone() for k, v in runner.model.state_dict().items()},
            {(i, k): torch.as_tensor(v).clone() for i, p in enumerate(runner.model.parameters())
             for k, v in optimizer.state[p].items()})


def keep_states(toy):
    class StatesHook(toy.Hook):
        """State before each iteration; those after the last one close the list."""

        priority = 'LOWEST'

        def __init__(self):
            self.states = []

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            self.states.append(snapshot(runner))

    return StatesHook()


def same(a, b):
    return all(set(x) == set(y) and all(torch.equal(x[k], y[k]) for k in x) for x, y in zip(a, b))


@pytest.mark.parametrize('optimizer', [
    dict(type='AdamW', lr=1e-2, weight_decay=0.1),
    dict(type='SGD', lr=1e-2, momentum=0.9, weight_decay=0.1)])
@pytest.mark.parametrize('clip', [None, dict(max_norm=1.)])
def test_a_skipped_step_changes_nothing_and_names_its_frames(toy, tmp_path, optimizer, clip):
    states, hook = keep_states(toy), NonFiniteHook(max_skipped=2)
    runner = toy.build_runner(tmp_path, [states, hook], **IN_ORDER, **{
        'train_dataloader.dataset.nan_frames': [7], 'train_cfg.max_iters': 6,
        'optim_wrapper': dict(type='OptimWrapper', optimizer=optimizer, clip_grad=clip)})
    runner.train()
    assert hook.steps == [dict(iteration=4, frames=['toy/06', 'toy/07'],
                               losses=['loss', 'loss_first', 'loss_second'])]
    changed = [not same(a, b) for a, b in zip(states.states, states.states[1:])]
    assert changed == [True, True, True, False, True]
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())
    log = log_of(tmp_path)
    assert 'Step skipped, weights unchanged: iteration 4: loss, loss_first, loss_second not ' \
        'finite, frames toy/06, toy/07 (1 skipped, budget 2)' in log
    assert '1 steps were skipped' in log


def test_budget_spent_raises_with_good_weights(toy, tmp_path):
    runner = toy.build_runner(tmp_path, [NonFiniteHook(max_skipped=1)], **IN_ORDER, **{
        'train_dataloader.dataset.nan_frames': [3, 6]})
    with pytest.raises(FloatingPointError, match='iteration 4: .* frames toy/06, toy/07 '
                       '.2 skipped, budget 1.. Weights are the last good ones'):
        runner.train()
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())


def test_gradient_without_a_bad_loss(toy, tmp_path):
    class PoisonHook(toy.Hook):
        """A gradient that is infinite though the loss is not."""

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            self.handle = runner.model.body[0].weight.register_hook(
                lambda grad: grad / (0 if runner.iter == 2 else 1))

    hook = NonFiniteHook(max_skipped=1)
    runner = toy.build_runner(tmp_path, [PoisonHook(), hook], **IN_ORDER)
    runner.train()
    assert hook.steps == [dict(iteration=3, frames=['toy/04', 'toy/05'], losses=[])]


def test_bad_loss_with_good_gradients_is_reported(toy, tmp_path, monkeypatch):
    forward = toy.ToyModel.forward

    def with_a_constant(self, inputs, data_samples, mode='loss'):
        losses = forward(self, inputs, data_samples, mode)
        bad = any(sample.frame_id == 'toy/04' for sample in data_samples)
        return dict(losses, loss_third=torch.tensor(float('inf') if bad else 0.))

    monkeypatch.setattr(toy.ToyModel, 'forward', with_a_constant)
    hook = NonFiniteHook(max_skipped=0)
    toy.build_runner(tmp_path, [hook], **IN_ORDER, **{'train_cfg.max_iters': 5}).train()
    assert hook.steps == []
    assert 'Step taken, its gradients were finite: iteration 3: loss, loss_third not finite, ' \
        'frames toy/04, toy/05.' in log_of(tmp_path)


def test_accumulated_gradients_blame_the_batch_with_the_bad_loss(toy, tmp_path):
    states, hook = keep_states(toy), NonFiniteHook(max_skipped=1)
    runner = toy.build_runner(tmp_path, [states, hook], **IN_ORDER, **{
        'train_dataloader.dataset.nan_frames': [6],
        'optim_wrapper.accumulative_counts': 2, 'train_cfg.max_iters': 6})
    runner.train()
    assert [step['frames'] for step in hook.steps] == [['toy/06', 'toy/07']]
    # Iterations 3 and 4 make one step, which is skipped: buffers go back to before iteration 3.
    assert same(states.states[2], states.states[4])
    assert not same(states.states[0], states.states[2])


def test_list_and_budget_survive_a_resume(toy, tmp_path):
    overrides = {**IN_ORDER, 'train_dataloader.dataset.nan_frames': [3]}
    with pytest.raises(KeyboardInterrupt):
        toy.build_runner(tmp_path, [toy.RecordHook(stop_after=4), NonFiniteHook(1)], name='first',
                         **overrides).train()
    hook = NonFiniteHook(max_skipped=1)
    runner = toy.build_runner(tmp_path, [hook], resume=True, name='second', **overrides)
    with pytest.raises(FloatingPointError, match='2 skipped, budget 1'):
        runner.train()
    assert [step['iteration'] for step in hook.steps] == [2, 8]


@OPTIM_WRAPPERS.register_module()
class SkippingWrapper(OptimWrapper):
    """Leaves out steps that overflow without calling the optimizer, like a gradient scaler."""

    loss_scaler = overflow_at = ()

    def step(self, **kwargs):
        grads = [p.grad for g in self.optimizer.param_groups for p in g['params']]
        if all(g.isfinite().all() for g in grads) and self._inner_count not in self.overflow_at:
            self.optimizer.step(**kwargs)


def test_scaler_is_left_to_find_its_scale(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(SkippingWrapper, 'overflow_at', (1, 2))
    hook = NonFiniteHook(max_skipped=1)
    runner = toy.build_runner(tmp_path, [hook], **IN_ORDER, **{
        'optim_wrapper.type': 'SkippingWrapper', 'train_dataloader.dataset.nan_frames': [10]})
    runner.train()
    assert [step['frames'] for step in hook.steps] == [['toy/10', 'toy/11']]
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())


def test_mixed_precision_on_cpu(toy, tmp_path):
    hook = NonFiniteHook(max_skipped=1)
    toy.build_runner(tmp_path, [hook], **IN_ORDER, **{
        'optim_wrapper.type': 'Bfloat16OptimWrapper',
        'train_dataloader.dataset.nan_frames': [10]}).train()
    assert [step['iteration'] for step in hook.steps] == [6]


def test_nothing_skipped_is_said_too(toy, tmp_path):
    toy.build_runner(tmp_path, [NonFiniteHook()]).train()
    assert 'No step was skipped' in log_of(tmp_path)


def test_two_processes_skip_alike_and_equal_one_with_twice_the_batch(toy, tmp_path):
    toy_script = Path(toy.__file__)
    environment = dict(os.environ, PYTHONPATH=f'{ROOT}{os.pathsep}{toy_script.parent}',
                       OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    result = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2',
         str(toy_script), str(tmp_path), 'equal', 'skip', 'budget'],
        env=environment, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr[-2000:]
    saved = {(case, rank): torch.load(tmp_path / f'{case}_{rank}.pth')
             for case in ('equal', 'skip', 'budget') for rank in (0, 1)}
    for case in ('equal', 'skip', 'budget'):
        first, second = saved[case, 0], saved[case, 1]
        assert first['steps'] == second['steps'] and first['error'] == second['error']
        assert all(torch.equal(v, second['state'][k]) for k, v in first['state'].items())
        assert all(v.isfinite().all() for v in first['state'].values())
    assert saved['equal', 0]['steps'] == []
    # Of the two batches of a step, one in each process, the one with the NaN is named.
    assert len(saved['skip', 0]['steps']) >= 2
    assert all({'toy/03', 'toy/04'} & set(step['frames']) and len(step['frames']) in (2, 4)
               for step in saved['skip', 0]['steps'])
    assert 'budget 0' in saved['budget', 0]['error']

    single = toy.build_runner(tmp_path / 'single', **{
        'model': dict(type='ToyModel', dropout=0., norm=False), 'train_dataloader.batch_size': 4})
    single.train()
    for name, value in single.model.state_dict().items():
        assert torch.allclose(value, saved['equal', 0]['state'][name], atol=1e-5), name


def test_negative_budget_is_refused():
    with pytest.raises(ValueError, match='max_skipped: expected a number >= 0, found -1'):
        NonFiniteHook(max_skipped=-1)
