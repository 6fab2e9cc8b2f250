"""Compare size, time and memory of the point backbones with mmdet3d's MinkUNet on one scan.

The networks are timed in turn within one process; on a CPU, the time is processor time. Memory is
measured in a fresh process for each network.
"""
from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from pathlib import Path
from statistics import median
from typing import Iterable, NamedTuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from nclr_plugin.datasets.transforms.loading import LoadPoints
from nclr_plugin.experiments.tables import markdown_table
from nclr_plugin.models.layers.voxelization import voxelize
from nclr_plugin.utils.optional import optional_import
from nclr_plugin.utils.devices import set_sparse_algorithm
from .step import add_device_arguments, mixed_precision, now


class Entry(NamedTuple):
    """A row of the table.

    Attributes:
        kind: Registered name of the backbone.
        blocks: Number of blocks in each encoder stage.
        baseline: Name of the row to compare with.
    """
    kind: str
    blocks: tuple[int, ...]
    baseline: str

    def build(self) -> nn.Module:
        """Build the network with random weights, in training mode, on the CPU."""
        optional_import('mmdet3d.models', 'mmdet3d', 'The benchmark of backbones')
        backend = dict(sparseconv_backend='spconv') if self.kind == 'MinkUNetBackbone' else {}
        # mmdet3d modifies the lists passed to it, even its own defaults.
        return MODELS.build(
            dict(
                type=self.kind, in_channels=4, base_channels=32,
                encoder_channels=[32, 64, 128, 256], encoder_blocks=list(self.blocks),
                decoder_channels=[256, 128, 96, 96], decoder_blocks=[2, 2, 2, 2],
                **backend)).train()


_BASELINES = ("mmdet3d's MinkUNet-18", "mmdet3d's MinkUNet-34")
_BLOCKS = ((2, 2, 2, 2), (2, 3, 4, 6))
ENTRIES = {
    _BASELINES[0]: Entry('MinkUNetBackbone', _BLOCKS[0], _BASELINES[0]),
    'MinkUNet-18': Entry('SplitMinkUNet', _BLOCKS[0], _BASELINES[0]),
    'SPVCNN': Entry('SplitSPVCNN', _BLOCKS[0], _BASELINES[0]),
    'ResUNet-18': Entry('SplitResUNet', _BLOCKS[0], _BASELINES[0]),
    _BASELINES[1]: Entry('MinkUNetBackbone', _BLOCKS[1], _BASELINES[1]),
    'MinkUNet-34': Entry('SplitMinkUNet', _BLOCKS[1], _BASELINES[1]),
    'ResUNet-34': Entry('SplitResUNet', _BLOCKS[1], _BASELINES[1]),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options to a command line."""
    parser.add_argument('scan', type=Path, help='scan in KITTI format: float32 x, y, z, intensity')
    parser.add_argument('--voxel-size', type=float, default=0.05,
                        help='voxel size in metres (default: 0.05)')
    parser.add_argument('--repeats', type=int, default=5,
                        help='timed rounds, after a warm-up (default: 5)')
    add_device_arguments(parser)


def run_backbones(args: argparse.Namespace) -> list[dict]:
    """Measure every network of ``ENTRIES`` on one scan.

    Returns:
        One dictionary per network: name, parameters, forward, backward and time, their sum
        (seconds of each round), memory (bytes, without input and weights), ratio (time over that
        of the baseline in the same round), memory_ratio.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['mmdet3d.models', 'spconv.pytorch'])
    memory = {}
    for name in ENTRIES:  # one process each, because freed memory is reused
        with context.Pool(1) as pool:
            memory[name] = pool.apply(_peak_memory, (name, args))

    nets = {name: entry.build().to(args.device) for name, entry in ENTRIES.items()}
    feats, coors = prepare(nets.values(), args)
    forward: dict[str, list[float]] = {name: [] for name in ENTRIES}
    backward: dict[str, list[float]] = {name: [] for name in ENTRIES}
    for repeat in range(args.repeats + 1):
        for name in list(ENTRIES)[::-1 if repeat % 2 else 1]:
            nets[name].zero_grad(set_to_none=True)
            start = _seconds(args.device)
            with mixed_precision(args.device, args.amp):
                out = nets[name](feats, coors)
            middle = _seconds(args.device)
            out.float().mean().backward()
            forward[name].append(middle - start)
            backward[name].append(_seconds(args.device) - middle)

    rows = []
    for name, entry in ENTRIES.items():
        rows.append(dict(
            name=name,
            parameters=sum(p.numel() for p in nets[name].parameters()),
            forward=forward[name][1:],  # without the warm-up
            backward=backward[name][1:],
            memory=memory[name],
            memory_ratio=memory[name] / memory[entry.baseline]))
        rows[-1]['time'] = [sum(both) for both in zip(rows[-1]['forward'], rows[-1]['backward'])]
    times = {row['name']: row['time'] for row in rows}
    for row in rows:
        row['ratio'] = [
            ours / theirs
            for ours, theirs in zip(row['time'], times[ENTRIES[row['name']].baseline])]
    return rows


def _seconds(device: str) -> float:
    """Return the processor time on the CPU, which other jobs share, else the wall time."""
    return time.process_time() if torch.device(device).type == 'cpu' else now(device)


def prepare(nets: Iterable[nn.Module], args: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Prepare the networks for the device and return the features and coors of the voxels."""
    for net in nets:
        set_sparse_algorithm(net, args.device)
    scan = dict(frame_id=args.scan.stem, lidar_path=str(args.scan), lidar_dim=4)
    points = torch.from_numpy(LoadPoints().transform(scan)['points']).to(args.device)
    voxels = voxelize([points], (args.voxel_size, ) * 3)
    return voxels.feats, voxels.coors


def _peak_memory(name: str, args: argparse.Namespace) -> int:
    """Return the peak memory of forward and backward in bytes, without weights and input."""
    net = ENTRIES[name].build().to(args.device)
    feats, coors = prepare([net], args)
    on_cpu = torch.device(args.device).type == 'cpu'
    if on_cpu:
        before = int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()
    else:
        torch.cuda.reset_peak_memory_stats(args.device)
        before = torch.cuda.memory_allocated(args.device)
    with mixed_precision(args.device, args.amp):
        net(feats, coors).float().mean().backward()
    if on_cpu:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return torch.cuda.max_memory_allocated(args.device) - before


def format_table(rows: list[dict]) -> str:
    """Format the rows of :func:`run_backbones` as a Markdown table; times are medians."""
    return markdown_table([{
        'backbone': row['name'],
        'parameters, M': f'{row["parameters"] / 1e6:.2f}',
        'forward, s': f'{median(row["forward"]):.3f}',
        'backward, s': f'{median(row["backward"]):.3f}',
        'peak memory, MB': f'{row["memory"] / 1e6:.0f}',
        "time / mmdet3d's (min - max)":
            f'{median(row["ratio"]):.3f} ({min(row["ratio"]):.3f} - {max(row["ratio"]):.3f})',
        "memory / mmdet3d's": f'{row["memory_ratio"]:.3f}',
    } for row in rows])


def main(args: argparse.Namespace) -> None:
    """Print the table of :func:`run_backbones`."""
    print(format_table(run_backbones(args)))
