"""How far matched pixels are from the true ones (paper, Fig. 8)."""
from __future__ import annotations

from typing import Any, Optional

import numpy as np
from torch import Tensor

from .canvas import dim, fit, legend, scale_pixels, stack, titled
from .points import draw_discs

WAYS = dict(
    cosine_hard='cosine similarity, most similar pixel',
    learned_soft='learned alignment, soft matching')
LIMITS = 3., 5., 10., 20.  # pixels, upper ends of all bands but the last
COLOURS = np.array([(60, 200, 90), (170, 220, 60), (255, 215, 40), (255, 140, 30), (225, 40, 50)],
                   np.uint8)


def draw_matches(image: np.ndarray, points: Tensor, sample: Any,
                 view: int) -> Optional[np.ndarray]:
    """Points at their true pixels, coloured by the error of their match.

    Args:
        image: RGB, (H, W, 3) uint8, as the model sees it.
        points: Not used; the points that were matched are in ``sample``.
        sample: :class:`~nclr_plugin.structures.CalibrationDataSample` with ``matchings``.
        view: Which view.

    Returns:
        RGB picture, uint8: a panel for the cosine with hard matching and, if the network has it,
        one for the learned alignment with soft matching; None without matchings.
    """
    if 'matchings' not in sample or not len(sample.matchings[view].points):
        return None
    found = sample.matchings[view]
    true = found.true_pixels.cpu().numpy()
    background, factor = fit(image)
    panels = []
    for name, way in WAYS.items():
        if name in found:
            error = np.linalg.norm(found.get(name).cpu().numpy() - true, axis=-1)
            colours = COLOURS[np.searchsorted(LIMITS, error, side='right')]
            panel = draw_discs(dim(background), scale_pixels(true, factor), colours, 3)
            panels.append(titled(panel, f'{way}: median error {np.median(error):.1f} px, '
                                 f'{100 * (error < LIMITS[0]).mean():.0f}% below {LIMITS[0]:g} px'))
    return stack(panels + [legend(list(zip(COLOURS.tolist(), _bands())), background.shape[1])])


def _bands() -> list:
    """What the colours mean."""
    between = [f'{low:g} to {high:g} px' for low, high in zip(LIMITS, LIMITS[1:])]
    return [f'below {LIMITS[0]:g} px', *between, f'{LIMITS[-1]:g} px and more']
