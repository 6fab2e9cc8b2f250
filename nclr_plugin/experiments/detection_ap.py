"""Read KITTI's average precisions from logs of OpenPCDet and mmdet3d (paper, Table 2)."""
from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Dict, Sequence, Tuple

import numpy as np

from .execution import Processes
from .tables import markdown_table

CLASSES = 'Car', 'Pedestrian', 'Cyclist'
LEVELS = 'easy', 'moderate', 'hard'
AVERAGE = 'Avg'
# OpenPCDet logs "Car AP_R40@0.70, 0.70, 0.70:", mmdet3d "Car AP40@...". The official IoU thresholds
# are equal in all three places (0.7 for cars, else 0.5). Tables of looser ones have two values.
_TABLE = re.compile(r'(\w+) AP(?:_R)?40@(\d\.\d+), \2, \2:((?!AP(?:_R)?\d*@).)*?^\s*3d\s+AP(?:40)?:'
                    r'([^\n]*)', re.DOTALL | re.MULTILINE)

Precisions = Dict[Tuple[str, str], float]
MODULE = 'nclr_plugin.pcdet.train'


def read_precisions(log: Path) -> Precisions:
    """Read the nine 3D APs at 40 recall positions of the last evaluation in a log.

    Args:
        log: Log of OpenPCDet's ``train.py`` or ``test.py``, or of mmdet3d's.

    Returns:
        AP in percent by class and level, in the order of the paper's table.

    Raises:
        FileNotFoundError: If the log does not exist.
        ValueError: If the log lacks the evaluation of a class.
    """
    by_class = {}
    for name, _, _, values in _TABLE.findall(log.read_text(errors='replace')):
        by_class[name] = [float(value) for value in values.split(',')]
    absent = [name for name in CLASSES if len(by_class.get(name, ())) != len(LEVELS)]
    if absent:
        raise ValueError(f'{log}: expected 3D APs at 40 recall positions of {list(CLASSES)}, as '
                         "OpenPCDet's train.py and test.py and mmdet3d's test.py log them, "
                         f'found none of {absent}; give the log of a whole evaluation')
    return {(name, level): value for name in CLASSES
            for level, value in zip(LEVELS, by_class[name])}


def average(precisions: Precisions) -> float:
    """Return the mean of the nine APs, the last column of the table."""
    return float(np.mean(list(precisions.values())))


def precision_table(methods: dict[str, Sequence[Precisions]]) -> str:
    """Format a Markdown table with the best repeat of each method, as the paper reports it.

    Args:
        methods: APs of all repeats, by method. If a method has several repeats, an extra column
            shows the mean and the population standard deviation of their averages.
    """
    repeated = any(len(repeats) > 1 for repeats in methods.values())
    rows: list[dict[str, str]] = []
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


def run_repeats(flags: Sequence[str], repeats: int, tag: str, out: Path) -> list[Precisions]:
    """Train and evaluate several times, and skip finished repeats.

    Repeat k has the ``extra_tag`` ``TAG_k`` and therefore its own folder. OpenPCDet resumes from
    the last checkpoint there. The output goes to ``out/repeat_k.log``. When the repeat is finished,
    its APs are stored in ``out/repeat_k.json``.

    Args:
        flags: Flags of OpenPCDet's ``train.py``.
        repeats: Number of repeats.
        tag: Prefix of the ``extra_tag``.
        out: Output folder for logs and APs.

    Returns:
        APs of each repeat.

    Raises:
        RunError: If a training fails. The message names the log.
        ValueError: If a log has no evaluation on KITTI, or ``out`` has repeats with other flags.
    """
    results = []
    for number in range(1, repeats + 1):
        log, record = (out / f'repeat_{number}.{suffix}' for suffix in ('log', 'json'))
        command = ['--extra_tag', f'{tag}_{number}', *flags]  # --set takes all words after it
        if not record.is_file():
            Processes().run([sys.executable, '-m', MODULE, *command], log)
            precisions = read_precisions(log)
            content = dict(flags=command, average=average(precisions), precisions=[
                [*key, value] for key, value in precisions.items()])
            record.write_text(json.dumps(content, indent=1) + '\n')
        content = json.loads(record.read_text())
        if content['flags'] != command:
            raise ValueError(f"{record}: expected a repeat with the flags {' '.join(command)}, "
                             f"found one with {' '.join(content['flags'])}; give another --out")
        results.append({(name, level): value for name, level, value in content['precisions']})
    return results
