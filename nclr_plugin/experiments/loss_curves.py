"""Training losses, and other scalars, of several runs in one plot: ``tools/plot_losses.py``."""
from __future__ import annotations

import argparse
import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from ..visualization.plots import new_figure

Curve = Tuple[List[int], List[float]]
NO_CURVES = 'step', 'epoch', 'iter', 'time', 'data_time', 'memory'


def read_curves(work_dir: str, keys: Sequence[str] = ('loss', )) -> Dict[str, Curve]:
    """Steps and values of scalars that mmengine has logged, smoothed by its log_processor.

    Args:
        work_dir: Of the training. Of a step that was logged twice, by a run and one that resumed
            it, the later value counts.
        keys: Names, or patterns such as ``ratio_*``.

    Returns:
        Curves by name, in the order of ``keys``.

    Raises:
        FileNotFoundError: If there is no log.
        ValueError: If a key fits nothing in the log.
    """
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(f'{work_dir}: expected TIME/vis_data/scalars.json of a training, '
                                'found none; give the --work-dir of tools/train.py')
    values: Dict[str, Dict[int, float]] = {}
    for log in logs:
        for scalars in map(json.loads, log.read_text().splitlines()):
            if 'loss' in scalars:  # the others are of evaluations
                for name in set(scalars) - set(NO_CURVES):
                    values.setdefault(name, {})[int(scalars['step'])] = float(scalars[name])
    chosen: Dict[str, Curve] = {}
    for key in keys:
        names = [name for name in sorted(values) if fnmatchcase(name, key)]
        if not names:
            raise ValueError(f"{work_dir}: expected values of '{key}' in the log, found "
                             f'{sorted(values) or "no loss"}; give one of them by --key')
        for name in names:
            steps = sorted(values[name])
            chosen[name] = steps, [values[name][step] for step in steps]
    return chosen


def write_curves(curves: Dict[str, Curve], path: Path, label: str = 'loss') -> None:
    """Draw a line for each curve.

    Args:
        curves: Steps and values by name.
        path: PNG file.
        label: Of the axis.
    """
    figure, (axis, ) = new_figure(900, 500, 1)
    for name, (steps, values) in curves.items():
        axis.plot(steps, values, label=name, linewidth=2)
    axis.set_xlabel('training step', fontsize=12)
    axis.set_ylabel(label, fontsize=12)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=12)
    figure.savefig(str(path))


def main(argv: Optional[Sequence[str]] = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Training losses of several runs in one plot, or other scalars of the log.')
    parser.add_argument('runs', nargs='+', metavar='NAME=WORK_DIR')
    parser.add_argument('--out', required=True, help='PNG file')
    parser.add_argument('--key', default=['loss'], nargs='+', metavar='KEY',
                        help='names of losses, or patterns: "weight_*" and "ratio_*" of GradNorm '
                        '(default: loss, the sum)')
    args = parser.parse_args(argv)
    for run in args.runs:
        if '=' not in run:
            parser.error(f'expected NAME=WORK_DIR, found {run}')
    try:
        found = {name: read_curves(work_dir, args.key)
                 for name, work_dir in (run.split('=', 1) for run in args.runs)}
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    keys = dict.fromkeys(key for curves in found.values() for key in curves)
    write_curves({(name if len(keys) == 1 else f'{name}: {key}'): curve
                  for name, curves in found.items() for key, curve in curves.items()},
                 Path(args.out), ' '.join(args.key))
    for name, curves in found.items():
        for key, (steps, values) in curves.items():
            print(f'{name}: {key} {values[0]:.3f} at step {steps[0]}, {values[-1]:.3f} at step '
                  f'{steps[-1]}')
    print(f'written: {args.out}')
