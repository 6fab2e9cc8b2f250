"""Building blocks of pictures: panels, titles, legends, colour bars and plots."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Sequence, Tuple, Union

import cv2
import numpy as np
from torch import Tensor

from ..utils.optional import optional_import

Array = Union[Tensor, np.ndarray]
Colour = Tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BACKGROUND = 32
DIMMED = 0.6  # brightness of an image that is drawn on
PANEL_WIDTH = 960
TITLE_HEIGHT = 32
BAR_WIDTH = 80
TEXT_SIZE = 0.6
MARGIN = 8
DPI = 100


def enlarge(image: np.ndarray, width: int = PANEL_WIDTH) -> tuple[np.ndarray, float]:
    """Enlarge an image to a width; a wider image stays as it is.

    Args:
        image: (H, W, 3) uint8.
        width: Minimum width, pixels.

    Returns:
        The image and the factor by which it was enlarged.
    """
    return fit(image, width) if image.shape[1] < width else (image, 1.)


def fit(image: np.ndarray, width: int = PANEL_WIDTH,
        height: int | None = None) -> tuple[np.ndarray, float]:
    """Resize an image to a width, or to a smaller one if it would be too high.

    Args:
        image: (H, W, 3) uint8.
        width: Width, pixels.
        height: Maximum height, pixels; ``None`` for no limit.

    Returns:
        The image and the factor by which it was enlarged.
    """
    if height is not None:
        width = min(width, max(1, round(height * image.shape[1] / image.shape[0])))
    factor = width / image.shape[1]
    size = width, max(1, round(image.shape[0] * factor))
    area = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=area), factor


def scale_pixels(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Map pixels (..., 2) of an image to the image enlarged by ``factor``."""
    return (pixels + 0.5) * factor - 0.5


def dim(image: np.ndarray) -> np.ndarray:
    """Darken an image, so that drawings stand out."""
    return (image * DIMMED).astype(np.uint8)


def grey(image: np.ndarray) -> np.ndarray:
    """Remove the colours of an image, so that drawn colours stand out."""
    return np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)


def colour_scale(level: Any) -> np.ndarray:
    """Map levels to colours from blue over green to red.

    Args:
        level: (...,) levels from 0 (blue) to 1 (red), clipped.

    Returns:
        (..., 3) uint8 RGB.
    """
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)
    # The ends of the scale are nearly black and would not show on an image.
    entry = np.rint(20 + 215 * np.clip(level, 0, 1))
    return scale[entry.astype(np.uint8), 0, ::-1]


def write(image: np.ndarray, text: str, corner: tuple[int, int],
          size: float = TEXT_SIZE) -> np.ndarray:
    """Write white text into a copy of an image, in a smaller size if it does not fit.

    Args:
        image: (H, W, 3) uint8.
        text: ASCII text; OpenCV cannot draw other characters.
        corner: Column and row of the start of the text's base line.
        size: Size of the text; 1 is about 22 pixels high.

    Returns:
        (H, W, 3) uint8.
    """
    space = max(1, image.shape[1] - corner[0] - 2)
    size = min(size, size * space / max(1, text_width(text, size)))
    return cv2.putText(image.copy(), text, corner, cv2.FONT_HERSHEY_SIMPLEX, size, WHITE, 1,
                       cv2.LINE_AA)


def text_width(text: str, size: float = TEXT_SIZE) -> int:
    """Return the width of a text in :func:`write`, pixels."""
    return cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0]


def strip(text: str, width: int, height: int = TITLE_HEIGHT) -> np.ndarray:
    """Write a line of text on the background, (height, width, 3)."""
    return write(_blank(height, width), text, (MARGIN, height - 10))


def titled(panel: np.ndarray, text: str) -> np.ndarray:
    """Add a line of text above a panel."""
    return np.concatenate([strip(text, panel.shape[1]), panel])


def stack(panels: Sequence[np.ndarray], space: int = 0) -> np.ndarray:
    """Stack panels vertically; narrower ones are padded on the right."""
    width = max(panel.shape[1] for panel in panels)
    rows = []
    for panel in panels:
        side = _blank(len(panel), width - panel.shape[1])
        rows += [_blank(space, width), np.concatenate([panel, side], axis=1)]
    return np.concatenate(rows[1:])


def beside(panels: Sequence[np.ndarray], space: int = 0) -> np.ndarray:
    """Put panels side by side; lower ones are padded below."""
    turned = stack([panel.swapaxes(0, 1) for panel in panels], space)
    return np.ascontiguousarray(turned.swapaxes(0, 1))


def colour_bar(height: int, colours: Callable[[np.ndarray], np.ndarray],
               ticks: Sequence[tuple[float, str]], margin: int = TITLE_HEIGHT) -> np.ndarray:
    """Draw a colour bar with labels to its right.

    Args:
        height: Height including margins, pixels.
        colours: Function that maps positions on the bar (N,), from 0 at the top to 1 at the
            bottom, to RGB colours (N, 3).
        ticks: Position on the bar and label of each tick.
        margin: Margin above and below the bar, pixels.

    Returns:
        (height, BAR_WIDTH, 3) uint8.
    """
    bar = _blank(height, BAR_WIDTH)
    length = height - 2 * margin
    bar[margin:margin + length, 8:24] = colours(np.linspace(0, 1, length))[:, None]
    for position, label in ticks:
        bar = write(bar, label, (28, int(round(margin + (length - 1) * position)) + 4), 0.4)
    return bar


def legend(entries: Sequence[tuple[Colour, str]], width: int) -> np.ndarray:
    """Draw a legend, in as many lines as it needs.

    Args:
        entries: RGB colour and text of each entry.
        width: Width, pixels.

    Returns:
        (H, width, 3) uint8.
    """
    swatch = 16
    lines, left = [_blank(TITLE_HEIGHT, width)], MARGIN
    for colour, text in entries:
        needed = swatch + 8 + text_width(text)
        if left > MARGIN and left + needed > width:
            lines.append(_blank(TITLE_HEIGHT, width))
            left = MARGIN
        top = (TITLE_HEIGHT - swatch) // 2
        lines[-1][top:top + swatch, left:left + swatch] = colour
        lines[-1] = write(lines[-1], text, (left + swatch + 8, TITLE_HEIGHT - 10))
        left += needed + 24
    return np.concatenate(lines)


def enlarge_cells(cells: np.ndarray, height: int, width: int, rows: int,
                  columns: int) -> np.ndarray:
    """Look up the cell under each pixel of a resized image.

    Args:
        cells: (H', W', ...) strided map of an image.
        height: Image height, pixels.
        width: Image width, pixels.
        rows: Height of the resized image, pixels.
        columns: Width of the resized image, pixels.

    Returns:
        (rows, columns, ...) values of the cells.
    """
    stride = map_stride(cells.shape[:2], height, width)
    row = ((np.arange(rows) + 0.5) * height / rows / stride).astype(int)
    column = ((np.arange(columns) + 0.5) * width / columns / stride).astype(int)
    return cells[row[:, None], column]


def map_stride(shape: tuple[int, int], height: int, width: int) -> int:
    """Return the pixels per cell of a map of ``ceil(size / stride)`` cells."""
    return max(-(-height // shape[0]), -(-width // shape[1]))


def new_figure(width: int, height: int, columns: int) -> tuple[Any, Any]:
    """Create a matplotlib figure with axes side by side.

    Pyplot's global state, which other code may be using, is not touched.

    Args:
        width: Figure width, pixels.
        height: Figure height, pixels.
        columns: Number of axes.

    Returns:
        The figure and its axes (columns,).
    """
    figures = optional_import('matplotlib.figure', purpose='Plots')
    figure = figures.Figure((width / DPI, height / DPI), DPI, layout='constrained')
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def render(figure: Any) -> np.ndarray:
    """Render a matplotlib figure as (height, width, 3) uint8 RGB."""
    backend = optional_import('matplotlib.backends.backend_agg', purpose='Plots')
    drawn = backend.FigureCanvasAgg(figure)
    drawn.draw()
    return np.asarray(drawn.buffer_rgba())[..., :3].copy()


def as_array(values: Array | Sequence) -> np.ndarray:
    """Return a tensor, on any device, as an array; an array as it is."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write an RGB picture (H, W, 3) uint8 as PNG, and make its folder.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1])):
        raise OSError(f'{path}: the picture could not be written; is the folder writable?')
