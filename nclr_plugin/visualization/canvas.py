"""Panels with titles, legends and colour bars, put together to pictures."""
from __future__ import annotations

from typing import Any, Callable, Optional, Sequence, Tuple

import numpy as np

from ..utils.optional import optional_import

Colour = Tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BACKGROUND = 32
DIMMED = 0.6  # brightness of an image under what is drawn on it
PANEL_WIDTH = 960
TITLE_HEIGHT = 32
BAR_WIDTH = 80
TEXT_SIZE = 0.6
MARGIN = 8


def enlarge(image: np.ndarray, width: int = PANEL_WIDTH) -> Tuple[np.ndarray, float]:
    """An image at least so wide; one that is wider stays as it is.

    Args:
        image: (H, W, 3) uint8.
        width: Pixels.

    Returns:
        the image and by how much it was enlarged.
    """
    return fit(image, width) if image.shape[1] < width else (image, 1.)


def fit(image: np.ndarray, width: int = PANEL_WIDTH,
        height: Optional[int] = None) -> Tuple[np.ndarray, float]:
    """An image resized to a width, or to a lesser one if it would be too high.

    Args:
        image: (H, W, 3) uint8.
        width: Pixels.
        height: Pixels, at most.

    Returns:
        the image and the factor by which it was enlarged.
    """
    cv2 = _cv2()
    if height is not None:
        width = min(width, max(1, round(height * image.shape[1] / image.shape[0])))
    factor = width / image.shape[1]
    size = width, max(1, round(image.shape[0] * factor))
    area = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=area), factor


def scale_pixels(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Where pixels (..., 2) of an image lie after it was enlarged by ``factor``."""
    return (pixels + 0.5) * factor - 0.5


def dim(image: np.ndarray) -> np.ndarray:
    """An image dark enough to draw on."""
    return (image * DIMMED).astype(np.uint8)


def grey(image: np.ndarray) -> np.ndarray:
    """An image without colours of its own, to draw colours on."""
    return np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)


def colour_scale(level: Any) -> np.ndarray:
    """Colours from blue over green to red.

    Args:
        level: (...,) 0 (blue) to 1 (red).

    Returns:
        (..., 3) uint8 RGB.
    """
    cv2 = _cv2()
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)
    # The ends of the scale are nearly black: lost on an image.
    entry = np.rint(20 + 215 * np.clip(level, 0, 1))
    return scale[entry.astype(np.uint8), 0, ::-1]


def write(image: np.ndarray, text: str, corner: Tuple[int, int],
          size: float = TEXT_SIZE) -> np.ndarray:
    """A copy of an image with white text in it, made smaller where it would not fit.

    Args:
        image: (H, W, 3) uint8.
        text: ASCII; other characters cannot be drawn.
        corner: Column and row where the base line of the text begins.
        size: 1 is about 22 pixels high.

    Returns:
        As ``image``.
    """
    cv2 = _cv2()
    space = max(1, image.shape[1] - corner[0] - 2)
    size = min(size, size * space / max(1, text_width(text, size)))
    return cv2.putText(image.copy(), text, corner, cv2.FONT_HERSHEY_SIMPLEX, size, WHITE, 1,
                       cv2.LINE_AA)


def text_width(text: str, size: float = TEXT_SIZE) -> int:
    """Pixels that a text takes in :func:`write`."""
    cv2 = _cv2()
    return cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0]


def strip(text: str, width: int, height: int = TITLE_HEIGHT) -> np.ndarray:
    """A line of text on the background, (height, width, 3)."""
    return write(_blank(height, width), text, (MARGIN, height - 10))


def titled(panel: np.ndarray, text: str) -> np.ndarray:
    """A panel with a line of text above it."""
    return np.concatenate([strip(text, panel.shape[1]), panel])


def stack(panels: Sequence[np.ndarray], space: int = 0) -> np.ndarray:
    """Panels one below the other, narrower ones filled up on the right."""
    width = max(panel.shape[1] for panel in panels)
    rows = []
    for panel in panels:
        side = _blank(len(panel), width - panel.shape[1])
        rows += [_blank(space, width), np.concatenate([panel, side], axis=1)]
    return np.concatenate(rows[1:])


def beside(panels: Sequence[np.ndarray], space: int = 0) -> np.ndarray:
    """Panels side by side, lower ones filled up below."""
    turned = stack([panel.swapaxes(0, 1) for panel in panels], space)
    return np.ascontiguousarray(turned.swapaxes(0, 1))


def colour_bar(height: int, colours: Callable[[np.ndarray], np.ndarray],
               ticks: Sequence[Tuple[float, str]], margin: int = TITLE_HEIGHT) -> np.ndarray:
    """A colour bar with labels to its right.

    Args:
        height: Pixels, margins included.
        colours: Function from places on the bar (N,), 0 at the top to 1 at the bottom, to RGB
            colours (N, 3).
        ticks: Place on the bar and label.
        margin: Pixels above and below the bar.

    Returns:
        (height, BAR_WIDTH, 3) uint8.
    """
    bar = _blank(height, BAR_WIDTH)
    length = height - 2 * margin
    bar[margin:margin + length, 8:24] = colours(np.linspace(0, 1, length))[:, None]
    for place, label in ticks:
        bar = write(bar, label, (28, int(round(margin + (length - 1) * place)) + 4), 0.4)
    return bar


def legend(entries: Sequence[Tuple[Colour, str]], width: int) -> np.ndarray:
    """Colours and what they mean, in as many lines as they need.

    Args:
        entries: RGB colour and text.
        width: Pixels.

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


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def _cv2() -> Any:
    return optional_import('cv2', 'opencv-python-headless', 'Pictures')
