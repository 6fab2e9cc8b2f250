"""Figures of a probe in the log, and a training that does not notice."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from nclr_plugin.datasets.segmentation import write_infos
from nclr_plugin.engine import ProbeHook


class _Backbone(nn.Module):
    """Features that are the voxel's values, and a little noise from torch's generator."""

    def encode(self, feats, coors):
        return [SimpleNamespace(features=feats + 1e-3 * torch.randn_like(feats))]

    def decode(self, levels, features):
        return features


@pytest.fixture
def settings(tmp_path):
    rng = np.random.default_rng(0)
    for part in ('train', 'val'):
        points = rng.uniform([-20, -20, -2, 0], [20, 20, 1, 1], (500, 4)).astype(np.float32)
        points.tofile(tmp_path / f'{part}.bin')
        np.where(points[:, 2] > 0, 1, 5).astype(np.uint32).tofile(tmp_path / f'{part}.label')
        write_infos(str(tmp_path / f'{part}.pkl'), [dict(
            lidar_points=dict(lidar_path=f'{part}.bin'), sample_idx=part,
            pts_semantic_mask_path=f'{part}.label')])
    return dict(data_root=str(tmp_path), dataset='kitti_boxes', train='train.pkl', val='val.pkl')


def _train(toy, work_dir, hooks, **kwargs):
    runner = toy.build_runner(work_dir, hooks, **kwargs)
    runner.model.point_backbone = _Backbone()
    runner.model.data_preprocessor.voxel_size = (0.5, 0.5, 0.5)
    record = next(hook for hook in runner.hooks if type(hook).__name__ == 'RecordHook')
    runner.train()
    return record.losses


def test_figures_are_in_the_log_and_the_training_is_the_same(toy, tmp_path, settings):
    plain = _train(toy, tmp_path / 'plain', [])
    probed = _train(toy, tmp_path / 'probed', [ProbeHook(interval=4, **settings)])
    assert probed == plain and len(plain) == 10
    log = '\n'.join(path.read_text() for path in (tmp_path / 'probed').rglob('*.log'))
    steps = [int(line.split('Probe (')[1].split(' ')[0]) for line in log.splitlines()
             if 'Probe (' in line]
    assert steps == [0, 4, 8]
    assert 'probe/kitti_boxes_linear_miou' in log and 'probe/kitti_boxes_knn_macc' in log
    scalars = '\n'.join(path.read_text() for path in (tmp_path / 'probed').rglob('scalars.json'))
    assert scalars.count('probe/kitti_boxes_linear_miou') == 3


def test_a_resumed_run_is_not_probed_at_its_start(toy, tmp_path, settings):
    _train(toy, tmp_path, [], **{'train_cfg.max_iters': 6})
    _train(toy, tmp_path, [ProbeHook(interval=9, name='boxes', **settings)], resume=True)
    log = '\n'.join(path.read_text() for path in tmp_path.rglob('*.log'))
    assert 'Probe (0 steps' not in log and 'Probe (9 steps' in log
    assert 'probe/boxes_linear_miou' in log
