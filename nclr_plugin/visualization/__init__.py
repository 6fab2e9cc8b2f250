"""Pictures of the inputs and predictions of a calibration network.

Each function of ``PICTURES`` takes

- ``image``: (H, W, 3) uint8 RGB, as given to the model;
- ``points``: (N, 3+) points of the scan in the LiDAR frame after the random transform, metres;
- ``sample``: :class:`~nclr_plugin.structures.CalibrationDataSample`;
- ``view``: index of the view.

It returns a uint8 RGB picture, or ``None`` if the network does not predict what the picture shows.
"""
from .curves import plot_error_histograms, plot_recall, plot_roc
from .features import draw_features, plot_features
from .matches import draw_matches, draw_overlap, draw_pixel_similarity, draw_point_similarity
from .points import compare_poses, compare_sample
from .visualizer import CalibrationVisualizer

PICTURES = dict(
    overlay=compare_sample,
    overlap=draw_overlap,
    pixel_similarity=draw_pixel_similarity,
    point_similarity=draw_point_similarity,
    matches=draw_matches,
    feature_plot=plot_features,
    feature_map=draw_features)

__all__ = [
    'PICTURES', 'CalibrationVisualizer', 'compare_poses', 'compare_sample', 'draw_features',
    'draw_matches', 'draw_overlap', 'draw_pixel_similarity', 'draw_point_similarity',
    'plot_error_histograms', 'plot_features', 'plot_recall', 'plot_roc'
]
