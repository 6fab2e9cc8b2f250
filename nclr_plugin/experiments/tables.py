"""Markdown tables of results."""
from __future__ import annotations

from typing import Sequence

import numpy as np

from ..utils.optional import optional_import


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
