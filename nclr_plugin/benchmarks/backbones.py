"""Size, time and memory of the point backbones on one scan, beside the host's MinkUNet.

Times are taken in turn within one process, those on the CPU in seconds of processor time; memory
is that of a fresh process for each network.
"""
from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from pathlib import Path
from statistics import median
from typing import Dict, Iterable, List, NamedTuple, Tuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from nclr_plugin.datasets.transforms.loading import LoadScan
from nclr_plugin.models.voxelization import voxelize
from nclr_plugin.utils.optional import optional_import
from nclr_plugin.utils.sparse import set_sparse_algorithm
from .step import mixed_precision, now
from .tables import markdown_table


class Entry(NamedTuple):
    """A network of the table: its class, how deep its encoder is, and what it is compared with."""
    kind: str
    blocks: Tuple[int, ...]
    peer: str

    def build(self) -> nn.Module:
        """With random weights, in training, on the CPU."""
        optional_import('mmdet3d.models', 'mmdet3d', 'The benchmark of backbones')
        backend = dict(sparseconv_backend='spconv') if self.kind == 'MinkUNetBackbone' else {}
        # The host changes the lists that it is given, its own defaults included.
        return MODELS.build(
            dict(
                type=self.kind, in_channels=4, base_channels=32,
                encoder_channels=[32, 64, 128, 256], encoder_blocks=list(self.blocks),
                decoder_channels=[256, 128, 96, 96], decoder_blocks=[2, 2, 2, 2],
                **backend)).train()


_HOSTS = ("mmdet3d's MinkUNet-18", "mmdet3d's MinkUNet-34")
_BLOCKS = ((2, 2, 2, 2), (2, 3, 4, 6))
ENTRIES = {
    _HOSTS[0]: Entry('MinkUNetBackbone', _BLOCKS[0], _HOSTS[0]),
    'MinkUNet-18': Entry('SplitMinkUNet', _BLOCKS[0], _HOSTS[0]),
    'SPVCNN': Entry('SplitSPVCNN', _BLOCKS[0], _HOSTS[0]),
    'ResUNet-18': Entry('SplitResUNet', _BLOCKS[0], _HOSTS[0]),
    _HOSTS[1]: Entry('MinkUNetBackbone', _BLOCKS[1], _HOSTS[1]),
    'MinkUNet-34': Entry('SplitMinkUNet', _BLOCKS[1], _HOSTS[1]),
    'ResUNet-34': Entry('SplitResUNet', _BLOCKS[1], _HOSTS[1]),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this benchmark's options to a command line."""
    parser.add_argument('scan', type=Path, help='float32 file of x, y, z, intensity (KITTI)')
    parser.add_argument('--voxel-size', type=float, default=0.05, help='metres')
    parser.add_argument('--repeats', type=int, default=5, help='timed rounds, after one warm-up')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--amp', action='store_true',
                        help='autocast: float16 on a GPU, bfloat16 on a CPU')


def run_backbones(args: argparse.Namespace) -> List[dict]:
    """Measures every network of ``ENTRIES`` on one scan.

    Returns:
        list[dict]: One per network: name, parameters, forward, backward and time, their sum
            (seconds of each round), memory (bytes above input and weights), ratio (time over
            that of the host's network in the same round), memory_ratio.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__, 'mmdet3d.models', 'spconv.pytorch'])
    memory = {}
    for name in ENTRIES:  # one process each: memory that one has freed would hide another's
        with context.Pool(1) as pool:
            memory[name] = pool.apply(_peak_memory, (name, args))

    nets = {name: entry.build().to(args.device) for name, entry in ENTRIES.items()}
    feats, coors = _prepare(nets.values(), args)
    forward: Dict[str, List[float]] = {name: [] for name in ENTRIES}
    backward: Dict[str, List[float]] = {name: [] for name in ENTRIES}
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
            memory_ratio=memory[name] / memory[entry.peer]))
        rows[-1]['time'] = [sum(both) for both in zip(rows[-1]['forward'], rows[-1]['backward'])]
    times = {row['name']: row['time'] for row in rows}
    for row in rows:
        row['ratio'] = [
            ours / host for ours, host in zip(row['time'], times[ENTRIES[row['name']].peer])]
    return rows


def _seconds(device: str) -> float:
    """Processor time on the CPU, which other jobs use too; elsewhere the time that passes."""
    return time.process_time() if torch.device(device).type == 'cpu' else now(device)


def _prepare(nets: Iterable[nn.Module], args: argparse.Namespace) -> Tuple[Tensor, Tensor]:
    """Lets the networks run on the device, and reads the scan's voxels and their indices."""
    for net in nets:
        set_sparse_algorithm(net, args.device)
    scan = dict(frame_id=args.scan.stem, lidar_path=str(args.scan), lidar_dim=4)
    points = torch.from_numpy(LoadScan().transform(scan)['points']).to(args.device)
    voxels = voxelize([points], (args.voxel_size, ) * 3)
    return voxels.feats, voxels.coors


def _peak_memory(name: str, args: argparse.Namespace) -> int:
    """Bytes that forward and backward need above the weights and the input, at their peak."""
    net = ENTRIES[name].build().to(args.device)
    feats, coors = _prepare([net], args)
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


def format_table(rows: List[dict]) -> str:
    """Rows of :func:`run_backbones` as a Markdown table; times are medians."""
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
    """Prints the table of :func:`run_backbones`."""
    print(format_table(run_backbones(args)))
