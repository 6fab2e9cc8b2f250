"""Markdown tables of benchmark results."""
from __future__ import annotations

from typing import List


def markdown_table(rows: List[dict]) -> str:
    """Rows with equal keys as a Markdown table, columns padded for reading in a terminal.

    Example:
        >>> print(markdown_table([dict(a=1, b='x')]))
        | a | b |
        | - | - |
        | 1 | x |
    """
    header = list(rows[0])
    cells = [header] + [[str(row[key]) for key in header] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    cells.insert(1, ['-' * width for width in widths])
    return '\n'.join('| ' + ' | '.join(c.ljust(w) for c, w in zip(line, widths)) + ' |'
                     for line in cells)
