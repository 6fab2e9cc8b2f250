"""Markdown tables, and the table of registration (CrossI2P, Table 1)."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Sequence

import numpy as np

from ..evaluation.pose_errors import recall_name
from ..evaluation.registration_metric import get_protocol
from ..utils.optional import optional_import
from .runs import TEST

if TYPE_CHECKING:
    from pandas import DataFrame, Series

KEYS = ['row', 'seed', 'test_set']


def markdown_table(rows: Sequence[dict[str, object]]) -> str:
    """Format rows as a Markdown table whose columns line up in a terminal.

    Args:
        rows: One dictionary per row, with the columns as keys. Values are printed as ``str``.

    Raises:
        ImportError: If pandas or tabulate is not installed.

    Example:
        >>> print(markdown_table([dict(a=1, b='x')]))
        | a   | b   |
        |-----|-----|
        | 1   | x   |
    """
    pandas = optional_import('pandas', purpose='The table')
    optional_import('tabulate', purpose='The table')
    return pandas.DataFrame(rows, dtype=str).to_markdown(index=False, tablefmt='github',
                                                         disable_numparse=True)


def mean_and_deviation(values: Sequence[float], form: str = '.3f') -> str:
    """Format ``mean +- sample standard deviation``.

    A single value, or several equal ones, are printed without deviation. The result is ``-`` if
    there are no values or one of them is not finite.

    Args:
        values: Values to average.
        form: Format of the mean; the deviation drops its sign.
    """
    values = list(values)
    if not values or not np.isfinite(values).all():
        return '-'
    mean = format(float(np.mean(values)), form)
    if len(set(values)) == 1:
        return mean
    return f"{mean} +- {format(float(np.std(values, ddof=1)), form.lstrip('+'))}"


def read_results(path: Path, protocol: str) -> DataFrame:
    """Read a ``results.csv`` of ``tools/ablation.py``.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If none of its lines was evaluated with the protocol.
    """
    pandas = optional_import('pandas', purpose='The table of registration')
    results = pandas.read_csv(path, dtype={'row': str, 'test_set': str}, keep_default_na=False,
                              na_values=['', 'nan'])
    metric = f'registration/{protocol}_rre_deg_mean'
    if metric not in results or results[metric].isna().all():
        raise ValueError(
            f'{path}: expected metrics of the protocol {protocol}, found none; add it to the '
            'protocols of RegistrationMetric in test_evaluator and evaluate again')
    return results


def registration_table(data_sets: dict[str, DataFrame], protocol: str,
                       inlier_px: float = 5.) -> str:
    """Format a Markdown table: a line per method, seed and test set, columns per data set.

    Args:
        data_sets: Results of :func:`read_results`, by name of the data set.
        protocol: Name of the protocol.
        inlier_px: Threshold of the inlier ratio, pixels.
    """
    pandas = optional_import('pandas', purpose='The table of registration')
    rule = get_protocol(protocol)
    keys = pandas.concat([results[KEYS] for results in data_sets.values()]).drop_duplicates()
    rows = []
    for row, seed, test_set in keys.itertuples(index=False):
        title = row if test_set == TEST else f'{row}, {test_set}'
        cells = {'': title if keys['seed'].nunique() == 1 else f'{title}, seed {seed}'}
        for name, results in data_sets.items():
            lines = results[(results[KEYS] == [row, seed, test_set]).all(axis=1)]
            cells.update(_cells(name, lines.iloc[0] if len(lines) else pandas.Series(dtype=float),
                                protocol, inlier_px))
        rows.append(cells)
    degrees, metres = rule.thresholds[0]
    note = (f'Protocol {protocol} ({rule.origin}). RRE: {rule.rotation}; mean +- deviation over '
            f'the views: {rule.mean_over}; RR within {degrees:g} deg and {metres:g} m, of all '
            f'views. A view without a pose {rule.failures}.')
    return f'{markdown_table(rows)}\n\n{note}'


def _cells(name: str, line: Series, protocol: str, inlier_px: float) -> dict[str, str]:
    """Return the cells of one data set, ``-`` for metrics that the line lacks."""
    prefix = f'registration/{protocol}'
    degrees, metres = get_protocol(protocol).thresholds[0]

    def number(key: str, scale: float = 1.) -> str:
        value = scale * float(line.get(key, float('nan')))
        return f'{value:.2f}' if value == value else '-'

    def spread(kind: str) -> str:
        mean = number(f'{prefix}_{kind}_mean')
        return mean if mean == '-' else f"{mean} +- {number(f'{prefix}_{kind}_std')}"

    return {
        f'{name} RRE, deg': spread('rre_deg'),
        f'{name} RTE, m': spread('rte_m'),
        f'{name} IR, %': number(f'registration/inlier_ratio_{inlier_px:g}px', 100.),
        f'{name} RR, %': number(f'{prefix}_{recall_name(degrees, metres)}', 100.),
    }
