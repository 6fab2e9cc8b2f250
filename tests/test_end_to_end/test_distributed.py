"""Two processes with a scan each do what one process does with two scans."""
import json

import pytest

ITERATIONS = 4
HOOK = '''
import json

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch.nn.modules.batchnorm import _BatchNorm


@HOOKS.register_module(force=True)
class MeanLossHook(Hook):
    """Write the mean of the losses over the processes; BatchNorm uses its stored statistics."""

    def __init__(self, path):
        self.path = path

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for module in runner.model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        of_processes = all_gather_object({k: float(v) for k, v in outputs.items()})
        frames = all_gather_object([s.frame_id for s in data_batch['data_samples']])
        if is_main_process():
            mean = {k: sum(o[k] for o in of_processes) / len(of_processes) for k in outputs}
            with open(self.path, 'a') as file:
                file.write(json.dumps(dict(frames=sum(frames, []), losses=mean)) + chr(10))
'''


@pytest.fixture
def config(demo_config, tmp_path, monkeypatch):
    """The demo config with the hook."""
    (tmp_path / 'mean_loss_hook.py').write_text(HOOK)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = tmp_path / 'mean_loss.py'
    config.write_text(f"""
_base_ = ['{demo_config}']
custom_imports = dict(imports=['nclr_plugin', 'mean_loss_hook'], allow_failed_imports=False)
default_hooks = dict(mean_loss=dict(type='MeanLossHook'))
""")
    return config


@pytest.fixture
def options(demo):
    """Nothing drawn at random from a subset, and a step whose change is proportional."""
    return {**demo, 'train_cfg.max_iters': ITERATIONS, 'train_cfg.val_interval': 100,
            'train_cfg.val_begin': 100, 'default_hooks.checkpoint.interval': 100,
            'model.num_samples': 100000,
            'model.pose_head.num_points': 100000,
            'optim_wrapper.optimizer.type': 'SGD', 'optim_wrapper.optimizer.lr': 0.02}


def test_two_processes_equal_one(run, config, options, tmp_path, on_cpu):
    def course(name, call, batch_size, *argv, **kwargs):
        path = tmp_path / f'{name}.jsonl'
        result = call('train', config, '--work-dir', tmp_path / name, *argv, **kwargs, options={
            **options, 'train_dataloader.batch_size': batch_size,
            'default_hooks.mean_loss.path': path})
        assert path.is_file(), result and result.stderr[-3000:]
        return [json.loads(line) for line in path.read_text().splitlines()]

    one = course('one', run, 2)
    two = course('two', run.process, 1, '--launcher', 'pytorch',
                 python=('-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2'),
                 variables={'PYTHONPATH': str(tmp_path)})
    assert len(one) == len(two) == ITERATIONS
    for step, (of_one, of_two) in enumerate(zip(one, two)):
        assert of_two['frames'] == of_one['frames'] and len(of_one['frames']) == 2
        # Matches of an untrained network hardly fix a pose: rounding (the order of sums over a
        # batch) is amplified there by orders of magnitude, and reaches the weights one step later.
        pose = [losses.pop('loss_pose') for losses in (of_one['losses'], of_two['losses'])]
        for losses in (of_one['losses'], of_two['losses']):
            del losses['loss']
        assert of_two['losses'] == pytest.approx(of_one['losses'], rel=1e-2 if step else 1e-4)
        assert pose[1] == pytest.approx(pose[0], rel=2e-2)
    assert one[1]['losses']['loss_point'] < one[0]['losses']['loss_point']  # it learns
