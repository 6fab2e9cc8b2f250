"""Training that was interrupted goes on as if it had not been."""
import signal
from types import SimpleNamespace

import pytest
import torch

ITERATIONS = 5
INTERVAL = 2  # of checkpoints
HOOK = '''
import os
import signal

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module(force=True)
class InterruptHook(Hook):
    priority = 'LOWEST'

    def __init__(self, after, kill):
        self.after, self.kill = after, kill

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.after:
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt
'''


@pytest.fixture(scope='module')
def options(demo):
    """From the start, every loss."""
    return {**demo, 'train_cfg.max_iters': ITERATIONS, 'train_cfg.val_interval': 100,
            'train_cfg.val_begin': 100, 'default_hooks.checkpoint.interval': INTERVAL}


@pytest.fixture(scope='module')
def uninterrupted(train_on_cpu, options, curves):
    work = train_on_cpu(options)
    return SimpleNamespace(work=work, curve=curves(work))


@pytest.fixture
def interrupted(demo_config, tmp_path, monkeypatch):
    """Function: iteration, whether to kill -> config of a run that ends there."""
    (tmp_path / 'interrupt_hook.py').write_text(HOOK)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(after, kill):
        config = tmp_path / 'interrupted.py'
        config.write_text(f"""
_base_ = ['{demo_config}']
custom_imports = dict(imports=['nclr_plugin', 'interrupt_hook'], allow_failed_imports=False)
default_hooks = dict(interrupt=dict(type='InterruptHook', after={after}, kill={kill}))
""")
        return config

    return write


def assert_same_course(work, uninterrupted, curves):
    curve = curves(work)
    assert sorted(curve) == sorted(uninterrupted.curve) == list(range(1, ITERATIONS + 1))
    for step, losses in uninterrupted.curve.items():
        assert curve[step] == losses, f'iteration {step}'
    last = [torch.load(folder / f'iter_{ITERATIONS}.pth', map_location='cpu')['state_dict']
            for folder in (work, uninterrupted.work)]
    for name, value in last[0].items():
        assert torch.equal(value, last[1][name]), name


def test_stopped_at_a_checkpoint(run, demo_config, options, uninterrupted, interrupted, curves,
                                 log, tmp_path, on_cpu):
    work = tmp_path / 'work'
    with pytest.raises(KeyboardInterrupt):
        run('train', interrupted(after=INTERVAL, kill=False), '--work-dir', work, options=options)
    assert sorted(curves(work)) == list(range(1, INTERVAL + 1))
    run('train', demo_config, '--work-dir', work, '--resume', options=options)
    assert f'Resuming after {INTERVAL} iterations, {2 * INTERVAL} samples' in log(work)
    assert_same_course(work, uninterrupted, curves)


def test_killed_between_checkpoints(run, demo_config, options, uninterrupted, interrupted, curves,
                                    log, tmp_path, on_cpu):
    """With two workers, which load ahead; without, the course is the same."""
    options = {**options, 'train_dataloader.num_workers': 2,
               'train_dataloader.persistent_workers': True}
    work = tmp_path / 'work'
    killed = run.process(
        'train', interrupted(after=2 * INTERVAL - 1, kill=True), '--work-dir', work,
        variables={'PYTHONPATH': str(tmp_path)}, options=options)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    assert (work / 'last_checkpoint').read_text().endswith(f'iter_{INTERVAL}.pth')
    run('train', demo_config, '--work-dir', work, '--resume', options=options)
    assert f'Resuming after {INTERVAL} iterations' in log(work)
    assert_same_course(work, uninterrupted, curves)


def test_curve_depends_on_the_data_order(uninterrupted):
    """A resumed run that repeated its first batches would be seen."""
    losses = [losses['loss'] for losses in uninterrupted.curve.values()]
    assert len(set(losses)) == ITERATIONS
    assert all('loss_pose' in losses for step, losses in uninterrupted.curve.items() if step > 1)
