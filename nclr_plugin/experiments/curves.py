"""Read and plot the curves of training runs and evaluations."""
from __future__ import annotations

import csv
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from ..evaluation import recall_curve
from ..visualization.canvas import new_figure

Curve = Tuple[List[int], List[float]]
NOT_PLOTTED = 'step', 'epoch', 'iter', 'time', 'data_time', 'memory'
ROTATIONS = 'geodesic', 'euler'


def read_curves(work_dir: str, keys: Sequence[str] = ('loss', )) -> dict[str, Curve]:
    """Read the scalars logged by mmengine, as smoothed by its ``log_processor``.

    Args:
        work_dir: Work directory of the training. If a resumed run logged a step again, the later
            value is used.
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
    values: dict[str, dict[int, float]] = {}
    for log in logs:
        lines = log.read_text().splitlines()
        if lines and not lines[-1].endswith('}'):
            del lines[-1]  # cut off when the training was killed
        for scalars in map(json.loads, lines):
            if 'loss' in scalars:  # other lines are evaluations
                for name in set(scalars) - set(NOT_PLOTTED):
                    values.setdefault(name, {})[int(scalars['step'])] = float(scalars[name])
    chosen: dict[str, Curve] = {}
    for key in keys:
        names = [name for name in sorted(values) if fnmatchcase(name, key)]
        if not names:
            raise ValueError(f"{work_dir}: expected values of '{key}' in the log, found "
                             f'{sorted(values) or "no loss"}; choose one of them by --key')
        for name in names:
            steps = sorted(values[name])
            chosen[name] = steps, [values[name][step] for step in steps]
    return chosen


def write_curves(curves: dict[str, Curve], path: Path, label: str = 'loss') -> None:
    """Plot one line per curve.

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


class ViewErrors(NamedTuple):
    """Errors of N views with matching images.

    Attributes:
        rre: (N,) degrees, infinite for a view without a pose.
        rte: (N,) metres, infinite for a view without a pose.
    """
    rre: np.ndarray
    rte: np.ndarray


def read_errors(path: str | Path, rotation: str = 'geodesic') -> ViewErrors:
    """Read the errors of all views except those of the mismatched-image control.

    Args:
        path: CSV file of an evaluation.
        rotation: ``'geodesic'`` (the angle) or ``'euler'`` (the sum of the Euler angles).

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If columns are missing, values are not numbers, or there is no view.
    """
    columns = 'mismatched_image', 'valid', f'rre_{rotation}_deg', 'rte_m'
    with open(path, encoding='utf-8', newline='') as file:
        reader = csv.DictReader(file)
        absent = [name for name in columns if name not in (reader.fieldnames or ())]
        if absent:
            raise ValueError(f'{path}: expected the columns {list(columns)} of a table of views, '
                             f'found no {absent}; write one by tools/test.py ... --cfg-options '
                             'test_evaluator.0.out_file=views.csv')
        try:
            table = np.array([[float(row[name]) for name in columns] for row in reader])
        except (TypeError, ValueError) as error:
            raise ValueError(f'{path}: expected numbers in {list(columns)}, found in line '
                             f'{reader.line_num}: {error}; write the file again') from None
    table = table.reshape(-1, len(columns))
    table = table[table[:, 0] == 0]
    if not len(table):
        raise ValueError(f'{path}: expected views with matching images, found none')
    solved = table[:, 1] == 1
    return ViewErrors(*(np.where(solved, table[:, column], np.inf) for column in (2, 3)))


def recall_curves(errors: ViewErrors, degrees: float, metres: float,
                  steps: int = 201) -> dict[str, np.ndarray]:
    """Compute the share of views with an error below each threshold.

    Args:
        errors: Errors of the views.
        degrees, metres: Largest thresholds of rotation and translation.
        steps: Number of thresholds. The first is 0.

    Returns:
        Curves for :func:`~nclr_plugin.visualization.plot_recall`.
    """
    curves = {}
    for name, values, largest in (('rre', errors.rre, degrees), ('rte', errors.rte, metres)):
        curves[f'{name}_thresholds'] = np.linspace(0, largest, steps)
        curves[name] = recall_curve(values, np.isfinite(values), curves[f'{name}_thresholds'])
    return curves


def describe(name: str, errors: ViewErrors) -> str:
    """Describe the errors in one line: number of views, failures, medians of the others."""
    solved = np.isfinite(errors.rre)
    text = f'{name}: {len(solved)} views, {int((~solved).sum())} without a pose'
    if solved.any():
        text += (f'; medians of the others {np.median(errors.rre[solved]):.2f} deg, '
                 f'{np.median(errors.rte[solved]):.2f} m')
    return text
