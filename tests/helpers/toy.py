"""A runner small enough to be watched: 12 frames, a few weights. Also run by several processes."""
from __future__ import annotations

import os
import sys

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, MODELS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import nclr_plugin.datasets  # noqa: F401
import nclr_plugin.engine  # noqa: F401
import nclr_plugin.evaluation  # noqa: F401
from nclr_plugin.structures import CalibrationDataSample

# LiDAR x forward, y left, z up to camera x right, y down, z forward.
AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.]])


@DATASETS.register_module()
class ToyFrames(Dataset):
    """Twelve frames, a pure function of the index; some with NaN, some standing in for others."""

    def __init__(self, nan_frames=(), skipped=None, size=12):
        self.metainfo = dict(name='toy')
        self.nan_frames, self.skipped, self.size = tuple(nan_frames), skipped or {}, size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        points = rng.uniform([5, -4, -1, 0], [20, 4, 1, 1], (50, 4))
        frame = index % self.size
        if frame in self.nan_frames:
            points[0, 0] = np.nan
        rigid_transform = np.eye(4)
        rigid_transform[0, 3] = 1.
        sample = CalibrationDataSample(metainfo=dict(
            frame_id=f'toy/{frame:02d}', view_names=['cam'], rigid_transform=rigid_transform,
            skipped_frames=self.skipped.get(frame, [])))
        sample.lidar2cam = torch.from_numpy(AXES[None] @ np.linalg.inv(rigid_transform))
        sample.cam2img = torch.tensor([[[60., 0, 39.5], [0, 60., 19.5], [0, 0, 1]]]).double()
        imgs = torch.from_numpy(rng.integers(0, 255, (1, 3, 40, 80), np.uint8))
        points = torch.from_numpy(points.astype(np.float32))
        return dict(inputs=dict(points=points, imgs=imgs), data_samples=sample)


@MODELS.register_module()
class ToyModel(BaseModel):
    """Dropout and BatchNorm, both of which resuming and skipping have to get right."""

    def __init__(self, dropout=0.3, norm=True, width=8):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(4, width), nn.BatchNorm1d(width) if norm else nn.Identity(),
            nn.Dropout(dropout), nn.Linear(width, 1))
        self.pose_loss_scale = 1.

    def forward(self, inputs, data_samples, mode='loss'):
        mean = torch.stack([points.mean(dim=0) for points in inputs['points']])
        if mode == 'loss':
            value = self.body(mean)
            self.seen_dtype = value.dtype
            target = 0.1 * mean[:, :1].float()
            return dict(loss_first=(value.float() - target).square().mean(),
                        loss_second=0.1 * value.float().abs().mean())
        for sample in data_samples:
            sample.pred_lidar2cam = sample.lidar2cam.clone()
            sample.pred_valid = torch.ones(1, dtype=torch.bool)
        return data_samples


@HOOKS.register_module()
class RecordHook(Hook):
    """Losses by iteration; may stop the training dead."""

    priority = 'LOWEST'

    def __init__(self, stop_after=None):
        self.losses, self.stop_after = {}, stop_after

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses[runner.iter] = outputs['loss'].item()
        if self.stop_after == len(self.losses):
            raise KeyboardInterrupt


def toy_config(work_dir, name='toy', **overrides):
    """Config of the toy runner; overrides by dotted keys."""
    loader = dict(batch_size=2, num_workers=0, dataset=dict(type='ToyFrames'),
                  collate_fn=dict(type='pseudo_collate'))
    config = Config(dict(
        experiment_name=f'{name}_{os.path.basename(str(work_dir))}',
        work_dir=str(work_dir),
        default_scope='mmengine',
        model=dict(type='ToyModel'),
        train_dataloader=dict(loader, sampler=dict(type='SeededInfiniteSampler', seed=0)),
        train_cfg=dict(type='ResumableIterLoop', max_iters=10),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-2)),
        param_scheduler=[dict(type='CosineAnnealingLR', by_epoch=False)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=3),
                           logger=dict(type='LoggerHook', interval=1)),
        custom_hooks=[dict(type='IterationSeedHook'), dict(type='RecordHook')],
        log_processor=dict(by_epoch=False),
        randomness=dict(seed=3),
        custom_imports=dict(imports=['nclr_plugin', 'toy'])),
        format_python_code=False)  # which takes longer than the training
    config.merge_from_dict(overrides)
    return config


def test_part(batch_size=2):
    """The part of a config that tests."""
    return dict(
        test_dataloader=dict(batch_size=batch_size, num_workers=0, dataset=dict(type='ToyFrames'),
                             sampler=dict(type='DefaultSampler', shuffle=False),
                             collate_fn=dict(type='pseudo_collate')),
        test_cfg=dict(type='TestLoop'), test_evaluator=dict(type='CalibrationMetric'))


def build_runner(work_dir, hooks=(), resume=False, load_from=None, name='toy', **overrides):
    """Runner of :func:`toy_config` with more hooks, objects or configs."""
    config = toy_config(work_dir, name=name, **overrides)
    config.resume, config.load_from = resume, load_from
    for position, hook in enumerate(config.custom_hooks):
        if hook['type'] in {type(h).__name__ for h in hooks}:
            config.custom_hooks[position] = None
    config.custom_hooks = [hook for hook in config.custom_hooks if hook]
    runner = Runner.from_cfg(config)
    for hook in hooks:
        runner.register_hook(hook)
    return runner


def hook_of(runner, name):
    """The runner's hook of a class."""
    return next(hook for hook in runner.hooks if type(hook).__name__ == name)


def main(work_dir, case):
    """One process of a distributed run; saves weights and hook state by rank."""
    runner = build_runner(work_dir, name=case, **{
        'launcher': 'pytorch',
        'model_wrapper_cfg': dict(type='MMDistributedDataParallel', device_ids=None),
        'model': dict(type='ToyModel', dropout=0., norm=False),
        'train_dataloader.dataset.nan_frames': [] if case == 'equal' else [3, 4],
        'custom_hooks': [dict(type='IterationSeedHook'), dict(type='RecordHook'),
                         dict(type='NonFiniteHook', max_skipped=0 if case == 'budget' else 9)],
    })
    error = ''
    try:
        runner.train()
    except FloatingPointError as exception:
        error = str(exception)
    torch.save(dict(state=runner.model.module.state_dict(), error=error,
                    steps=hook_of(runner, 'NonFiniteHook').steps),
               os.path.join(work_dir, f'{case}_{runner.rank}.pth'))


if __name__ == '__main__':
    torch.distributed.init_process_group('gloo')
    for each in sys.argv[2:]:
        main(sys.argv[1], each)
