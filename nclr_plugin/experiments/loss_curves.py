"""Training losses and other logged scalars of several runs in one plot."""
from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from ..visualization.canvas import new_figure

Curve = Tuple[List[int], List[float]]
NOT_PLOTTED = 'step', 'epoch', 'iter', 'time', 'data_time', 'memory'


def read_curves(work_dir: str, keys: Sequence[str] = ('loss', )) -> Dict[str, Curve]:
    """Read scalars logged by mmengine, smoothed by its log_processor.

    Args:
        work_dir: Work directory of the training. If a step was logged twice, by a run and by one
            that resumed it, the later value counts.
        keys: Names of scalars, or patterns such as ``ratio_*``.

    Returns:
        Steps and values by name, in the order of ``keys``.

    Raises:
        FileNotFoundError: If there is no log.
        ValueError: If a key matches nothing in the log.
    """
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(f'{work_dir}: expected TIME/vis_data/scalars.json of a training, '
                                'found none; give the --work-dir of tools/train.py')
    values: Dict[str, Dict[int, float]] = {}
    for log in logs:
        for scalars in map(json.loads, log.read_text().splitlines()):
            if 'loss' in scalars:  # other lines are evaluations
                for name in set(scalars) - set(NOT_PLOTTED):
                    values.setdefault(name, {})[int(scalars['step'])] = float(scalars[name])
    chosen: Dict[str, Curve] = {}
    for key in keys:
        names = [name for name in sorted(values) if fnmatchcase(name, key)]
        if not names:
            raise ValueError(f"{work_dir}: expected values of '{key}' in the log, found "
                             f'{sorted(values) or "no loss"}; choose one of them by --key')
        for name in names:
            steps = sorted(values[name])
            chosen[name] = steps, [values[name][step] for step in steps]
    return chosen


def write_curves(curves: Dict[str, Curve], path: Path, label: str = 'loss') -> None:
    """Draw a line for each curve.

    Args:
        curves: Steps and values by name.
        path: PNG file to write.
        label: Label of the value axis.
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
