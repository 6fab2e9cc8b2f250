"""Errors of single views, as ``CalibrationMetric(out_file=...)`` writes them."""
from __future__ import annotations

import csv
from pathlib import Path
from typing import Dict, NamedTuple, Union

import numpy as np

from nclr_plugin.evaluation import recall_curve

ROTATIONS = 'geodesic', 'euler'


class ViewErrors(NamedTuple):
    """Errors of N views with their own image.

    Attributes:
        rre: (N,) degrees, infinite for a view without a pose.
        rte: (N,) metres, likewise.
    """
    rre: np.ndarray
    rte: np.ndarray


def read_errors(path: Union[str, Path], rotation: str = 'geodesic') -> ViewErrors:
    """Read the errors of the views; those of the wrong-image control are left out.

    Args:
        path: CSV file of an evaluation.
        rotation: ``'geodesic'`` (the angle) or ``'euler'`` (the sum of the Euler angles).

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it has other columns, something that is no number in them, or no view.
    """
    columns = 'wrong_image', 'valid', f'rre_{rotation}_deg', 'rte_m'
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
                             f'{reader.line_num} what is none ({error}); write the file again'
                             ) from None
    table = table.reshape(-1, len(columns))
    table = table[table[:, 0] == 0]
    if not len(table):
        raise ValueError(f'{path}: expected views with their own image, found none')
    solved = table[:, 1] == 1
    return ViewErrors(*(np.where(solved, table[:, column], np.inf) for column in (2, 3)))


def recall_curves(errors: ViewErrors, degrees: float, metres: float,
                  steps: int = 201) -> Dict[str, np.ndarray]:
    """Share of views below each threshold, as :func:`~nclr_plugin.visualization.plot_recall` wants.

    Args:
        errors: The views' errors.
        degrees, metres: The largest thresholds.
        steps: Number of thresholds, from 0 on.
    """
    curves = {}
    for name, values, largest in (('rre', errors.rre, degrees), ('rte', errors.rte, metres)):
        curves[f'{name}_thresholds'] = np.linspace(0, largest, steps)
        curves[name] = recall_curve(values, np.isfinite(values), curves[f'{name}_thresholds'])
    return curves


def describe(name: str, errors: ViewErrors) -> str:
    """One line: how many views, how many without a pose, and the medians of the others."""
    solved = np.isfinite(errors.rre)
    text = f'{name}: {len(solved)} views, {int((~solved).sum())} without a pose'
    if solved.any():
        text += (f'; medians of the others {np.median(errors.rre[solved]):.2f} deg, '
                 f'{np.median(errors.rte[solved]):.2f} m')
    return text
