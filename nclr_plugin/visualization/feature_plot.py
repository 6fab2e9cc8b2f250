"""Features of points and pixels in the plane, before and after alignment (paper, Fig. 4)."""
from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np
from torch import Tensor

from .plots import new_figure, render
from .principal import principal_axes
from .similarity_map import similarity_spaces

SAMPLES = 200  # of each modality
TITLES = {'cosine': 'before alignment', 'learned alignment': 'after learned alignment'}
POINT_COLOUR, PIXEL_COLOUR = '#d1495b', '#2e86ab'


def plot_features(image: np.ndarray, points: Tensor, sample: Any,
                  view: int) -> Optional[np.ndarray]:
    """Points and pixels of the overlapping area as dots whose distance shows that of features.

    Args:
        image: Not used.
        points: Not used; the points that have features are in ``sample``.
        sample: :class:`~nclr_plugin.structures.CalibrationDataSample` with ``features``.
        view: Which view.

    Returns:
        RGB picture, uint8: a panel for the features before and, if the network has it, one for
        those after the learned alignment; None without features or without overlap.
    """
    if 'features' not in sample:
        return None
    rows = _spread(sample.gt_point_overlap[view])
    cells = _spread(sample.gt_pixel_overlap[view].flatten())
    if min(len(rows), len(cells)) < 2:
        return None
    spaces = similarity_spaces(sample.features)
    figure, axes = new_figure(720 * len(spaces), 640, len(spaces))
    for axis, (name, (of_points, of_pixels)) in zip(axes, spaces.items()):
        joined = np.concatenate([of_points[rows].cpu().numpy(),
                                 of_pixels[view][cells].cpu().numpy()])
        plane, method = _to_plane(joined)
        for title, colour, dots in (('points', POINT_COLOUR, plane[:len(rows)]),
                                    ('pixels', PIXEL_COLOUR, plane[len(rows):])):
            axis.scatter(*dots.T, s=14, c=colour, alpha=0.7, linewidths=0, label=title)
        axis.set_title(f'{TITLES[name] if len(spaces) > 1 else "without alignment"} ({method})',
                       fontsize=15)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.legend(loc='best', fontsize=13, markerscale=2)
    figure.suptitle(f'Features of {len(rows)} points and {len(cells)} pixels of the overlapping '
                    'area', fontsize=15)
    return render(figure)


def _spread(mask: Tensor) -> np.ndarray:
    """At most ``SAMPLES`` of the places where the mask is True, evenly spread."""
    places = np.flatnonzero(mask.cpu().numpy())
    return places[np.linspace(0, len(places) - 1, min(SAMPLES, len(places))).astype(int)]


def _to_plane(features: np.ndarray) -> Tuple[np.ndarray, str]:
    """(N, D) -> (N, 2) and how."""
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        mean, axes = principal_axes(features, 2)
        return (features - mean) @ axes, 'PCA'
    perplexity = min(30., (len(features) - 1) / 3)
    method = TSNE(perplexity=perplexity, init='pca', random_state=0)
    return method.fit_transform(features.astype(np.float32)), 't-SNE'
