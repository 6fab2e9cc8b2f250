"""KITTI's average precisions from logs of OpenPCDet and of mmdet3d, as in the paper's Table 2."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import numpy as np

from .tables import markdown_table

CLASSES = 'Car', 'Pedestrian', 'Cyclist'
LEVELS = 'easy', 'moderate', 'hard'
AVERAGE = 'Avg'
# "Car AP_R40@0.70, 0.70, 0.70:" of OpenPCDet, "Car AP40@..." of mmdet3d. The official overlaps are
# equal in all three places (0.7; 0.5 for the others); the tables of looser ones have two values.
_TABLE = re.compile(r'(\w+) AP(?:_R)?40@(\d\.\d+), \2, \2:((?!AP(?:_R)?\d*@).)*?^\s*3d\s+AP(?:40)?:'
                    r'([^\n]*)', re.DOTALL | re.MULTILINE)

Precisions = Dict[Tuple[str, str], float]


def read_precisions(log: Path) -> Precisions:
    """Read the nine 3D APs at 40 recall positions of the last evaluation in a log.

    Args:
        log: Log of OpenPCDet's ``train.py`` or ``test.py``, or of mmdet3d's.

    Returns:
        Percent by class and level, in the order of the paper's table.

    Raises:
        FileNotFoundError: If there is no log.
        ValueError: If the evaluation of a class is not in it.
    """
    found = {}
    for name, _, _, values in _TABLE.findall(log.read_text(errors='replace')):
        found[name] = [float(value) for value in values.split(',')]
    absent = [name for name in CLASSES if len(found.get(name, ())) != len(LEVELS)]
    if absent:
        raise ValueError(f'{log}: expected 3D APs at 40 recall positions of {list(CLASSES)}, as '
                         "OpenPCDet's train.py and test.py and mmdet3d's test.py log them, "
                         f'found none of {absent}; give the log of a whole evaluation')
    return {(name, level): value for name in CLASSES
            for level, value in zip(LEVELS, found[name])}


def average(precisions: Precisions) -> float:
    """Return the mean of the nine APs, the last column of the table."""
    return float(np.mean(list(precisions.values())))


def precision_table(methods: Dict[str, Sequence[Precisions]]) -> str:
    """Markdown: for each method the repeat of largest average, as the paper reports it.

    Args:
        methods: APs of the repeats, by the name of the method. With several repeats the mean and
            the deviation of their averages (of the population) stand in a column of their own.
    """
    repeated = any(len(repeats) > 1 for repeats in methods.values())
    rows: List[Dict[str, str]] = []
    for name, repeats in methods.items():
        averages = [average(repeat) for repeat in repeats]
        best = repeats[int(np.argmax(averages))]
        row = {'': name}
        row.update({f'{kind} {level}': f'{best[kind, level]:.2f}'
                    for kind in CLASSES for level in LEVELS})
        row[AVERAGE] = f'{max(averages):.2f}'
        if repeated:
            row[f'{AVERAGE} of all repeats'] = (
                f'{np.mean(averages):.2f} +- {np.std(averages):.2f} ({len(averages)})')
        rows.append(row)
    return markdown_table(rows)
