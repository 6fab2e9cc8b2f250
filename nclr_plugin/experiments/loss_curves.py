"""Training losses of several runs in one plot: ``tools/plot_losses.py``."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from ..visualization.plots import new_figure

Curve = Tuple[List[int], List[float]]


def read_losses(work_dir: str, key: str = 'loss') -> Curve:
    """Steps and values of a loss that mmengine has logged, smoothed by its log_processor.

    Args:
        work_dir: Of the training. Of a step that was logged twice, by a run and one that resumed
            it, the later value counts.
        key: Name of the loss.

    Raises:
        FileNotFoundError: If there is no log.
        ValueError: If the log has no such loss.
    """
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(f'{work_dir}: expected TIME/vis_data/scalars.json of a training, '
                                'found none; give the --work-dir of tools/train.py')
    values: Dict[int, float] = {}
    names = set()
    for log in logs:
        for line in log.read_text().splitlines():
            scalars = json.loads(line)
            names.update(name for name in scalars if 'loss' in name)
            if key in scalars:
                values[int(scalars['step'])] = float(scalars[key])
    if not values:
        raise ValueError(f"{work_dir}: expected values of '{key}' in the log, found "
                         f'{sorted(names) or "no loss"}; give one of them by --key')
    steps = sorted(values)
    return steps, [values[step] for step in steps]


def write_losses(curves: Dict[str, Curve], path: Path, key: str = 'loss') -> None:
    """Draw one line for each run.

    Args:
        curves: Steps and values by name.
        path: PNG file.
        key: Name of the loss, for the axis.
    """
    figure, (axis, ) = new_figure(900, 500, 1)
    for name, (steps, values) in curves.items():
        axis.plot(steps, values, label=name, linewidth=2)
    axis.set_xlabel('training step', fontsize=12)
    axis.set_ylabel(key, fontsize=12)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=12)
    figure.savefig(str(path))


def main(argv: Optional[Sequence[str]] = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description='Training losses of several runs in one plot.')
    parser.add_argument('runs', nargs='+', metavar='NAME=WORK_DIR')
    parser.add_argument('--out', required=True, help='PNG file')
    parser.add_argument('--key', default='loss', help='name of the loss (default: loss, the sum)')
    args = parser.parse_args(argv)
    for run in args.runs:
        if '=' not in run:
            parser.error(f'expected NAME=WORK_DIR, found {run}')
    try:
        curves = {name: read_losses(work_dir, args.key)
                  for name, work_dir in (run.split('=', 1) for run in args.runs)}
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    write_losses(curves, Path(args.out), args.key)
    for name, (steps, values) in curves.items():
        print(f'{name}: {args.key} {values[0]:.3f} at step {steps[0]}, {values[-1]:.3f} at step '
              f'{steps[-1]}')
    print(f'written: {args.out}')
