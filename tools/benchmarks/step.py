"""Time a pretraining step, compared with its two backbones, and the wait for its data.

Ratios are taken within one round, because the speed of a machine drifts.
"""
from __future__ import annotations

import argparse
import copy
import time
from statistics import median
from typing import Callable, ContextManager

import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.runner.amp import autocast
from torch import nn

from nclr_plugin.experiments.tables import markdown_table
from nclr_plugin.utils.devices import set_sparse_algorithm


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a benchmark of networks: device and precision."""
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu',
                        help='device of the networks (default: cuda if available)')
    parser.add_argument('--amp', action='store_true',
                        help='autocast: float16 on a GPU, bfloat16 on a CPU')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``step`` and ``data`` share."""
    parser.add_argument('--config', default='configs/nclr/nclr_minkunet34_semantickitti.py',
                        help='pretraining config (default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=1, help='scans per step (default: 1)')
    parser.add_argument('--rounds', type=int, default=5,
                        help='timed rounds, after a warm-up (default: 5)')
    add_device_arguments(parser)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={},
                        metavar='KEY=VALUE',
                        help='overrides of the config, for example '
                        'train_dataloader.dataset.reader.sequences="[\'90\']"')


def add_step_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``step``."""
    add_arguments(parser)
    parser.add_argument('--processor-time', action='store_true',
                        help='seconds of processor time, which other jobs hardly change; for '
                        'models on a CPU')


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``data``."""
    add_arguments(parser)
    parser.add_argument('--workers', type=int, nargs='+', default=[2],
                        help='processes of the data loader; several numbers: a row for each '
                        '(default: 2)')
    parser.add_argument('--step-time', type=float, metavar='SECONDS',
                        help='wait for so long in place of a step, as for that of a GPU')


def load(args: argparse.Namespace) -> Config:
    """Load the config with the overrides of the command line."""
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    return cfg


def build_model(cfg: Config, device: str) -> nn.Module:
    """Build the model with random weights, which do not change the cost of a step."""
    cfg.model.image_branch.weights = None
    model = MODELS.build(cfg.model).to(device).train()
    set_sparse_algorithm(model, device)
    return model


def run_step(args: argparse.Namespace) -> list[dict]:
    """Time a training batch through the backbones alone and through the whole model.

    Returns:
        Rows of the table.
    """
    cfg = load(args)
    model = build_model(cfg, args.device)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = pseudo_collate([dataset[i] for i in range(args.batch_size)])
    prepared = model.data_preprocessor(batch, True)
    voxels, imgs = prepared['inputs'].voxels, prepared['inputs'].imgs

    def point_backbone():
        model.point_backbone(voxels.feats, voxels.coors).float().mean().backward()

    def image_branch():
        model.image_branch(imgs).float().mean().backward()

    def nclr():
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        sum(losses.values()).backward()

    parts = dict(point=point_backbone, image=image_branch, step=nclr)
    clock = time.process_time if args.processor_time else time.perf_counter
    times = measure(parts, args.rounds, args.device, args.amp, model, clock)
    ratios = [s / (p + i) for p, i, s in zip(times['point'], times['image'], times['step'])]
    names = dict(
        point=f'point backbone, {len(voxels.feats)} voxels',
        image=f'image backbone (ResNet, FPN), {len(imgs)} x {tuple(imgs.shape[-2:])}',
        step='NCLR step (voxelisation, all heads and losses)')
    rows = [{'forward + backward': names[k], 'median s': f'{median(v):.3f}'}
            for k, v in times.items()]
    rows.append({'forward + backward': 'ratio of the step to both backbones, median (min - max)',
                 'median s': f'{median(ratios):.3f} ({min(ratios):.3f} - {max(ratios):.3f})'})
    return rows


def measure(parts: dict[str, Callable], rounds: int, device: str, amp: bool, model: nn.Module,
            clock: Callable[[], float] = time.perf_counter) -> dict[str, list[float]]:
    """Return the seconds of each part, measured in turn for ``rounds`` after a warm-up."""
    times = {name: [] for name in parts}
    for _ in range(rounds + 1):
        for name, part in parts.items():
            model.zero_grad(set_to_none=True)
            start = now(device, clock)
            with mixed_precision(device, amp):
                part()
            times[name].append(now(device, clock) - start)
    return {name: values[1:] for name, values in times.items()}


def mixed_precision(device: str, enabled: bool) -> ContextManager:
    """Return the autocast of ``tools/train.py --amp`` on a device.

    The gradient scaler of training on a GPU is left out: it costs a single product.
    """
    return autocast(torch.device(device).type, enabled=enabled)


def now(device: str, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the time in seconds, after the device has finished its work."""
    getattr(torch, torch.device(device).type).synchronize()
    return clock()


def run_data(args: argparse.Namespace) -> list[dict]:
    """Train with the data loader and measure how long each step waits for its batch.

    With ``--step-time``, a pause takes the place of each step, as of a GPU that works alone.

    Returns:
        Rows of the table, one for each number of workers.
    """
    cfg = load(args)
    if args.step_time is None:
        model = build_model(cfg, args.device)

        def step(batch):
            model.zero_grad(set_to_none=True)
            with mixed_precision(args.device, args.amp):
                losses = model(**model.data_preprocessor(batch, True), mode='loss')
                sum(losses.values()).backward()
    else:
        def step(batch):
            time.sleep(args.step_time)

    cfg.train_dataloader.batch_size = args.batch_size
    rows = []
    for workers in args.workers:
        cfg.train_dataloader.update(num_workers=workers, persistent_workers=workers > 0)
        loader = Runner.build_dataloader(copy.deepcopy(cfg.train_dataloader), seed=0)
        waits, steps = [], []
        batches = iter(loader)
        for _ in range(args.rounds + 2):
            start = now(args.device)
            batch = next(batches)
            ready = now(args.device)
            step(batch)
            waits.append(ready - start)
            steps.append(now(args.device) - ready)
        del batches  # ends the workers
        waits, steps = waits[2:], steps[2:]  # without the start of the workers
        start = time.process_time()
        for index in range(args.rounds):
            loader.dataset[index]
        alone = (time.process_time() - start) / args.rounds
        rows.append({
            'workers': workers,
            'one sample, processor time, ms': f'{1e3 * alone:.0f}',
            'step, s': f'{median(steps):.2f}',
            'wait for a batch, s': f'{median(waits):.4f}',
            'share of time waiting': f'{100 * sum(waits) / (sum(waits) + sum(steps)):.2f}%'
        })
    return rows


def main_step(args: argparse.Namespace) -> None:
    """Print the table of :func:`run_step`."""
    print(markdown_table(run_step(args)))


def main_data(args: argparse.Namespace) -> None:
    """Print the table of :func:`run_data`."""
    print(markdown_table(run_data(args)))
