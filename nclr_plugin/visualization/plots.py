"""Plots by matplotlib as arrays."""
from __future__ import annotations

from typing import Any, Tuple

import numpy as np

from ..utils.optional import optional_import

DPI = 100


def new_figure(width: int, height: int, columns: int) -> Tuple[Any, Any]:
    """A figure with axes side by side.

    It does not touch matplotlib's state, by which other code may be drawing.

    Args:
        width: Pixels.
        height: Pixels.
        columns: Number of axes.

    Returns:
        the figure and the axes (columns,).
    """
    figures = optional_import('matplotlib.figure', purpose='Plots')
    figure = figures.Figure((width / DPI, height / DPI), DPI, layout='constrained')
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def render(figure: Any) -> np.ndarray:
    """The figure as an RGB picture, (height, width, 3) uint8."""
    canvas = optional_import('matplotlib.backends.backend_agg', purpose='Plots')
    drawn = canvas.FigureCanvasAgg(figure)
    drawn.draw()
    return np.asarray(drawn.buffer_rgba())[..., :3].copy()
