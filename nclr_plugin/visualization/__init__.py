"""Pictures of what a calibration network sees and finds.

``PICTURES`` are functions of an image (H, W, 3) uint8 RGB, its scan (N, 3+), the data sample and
the number of the view. They return an RGB picture, or None where the network has nothing to show.
"""
from .curves import plot_error_histograms, plot_recall, plot_roc
from .feature_map import draw_features
from .feature_plot import plot_features
from .match_map import draw_matches
from .overlap_map import draw_overlap
from .overlay import compare_poses, compare_sample
from .similarity_map import draw_pixel_similarity, draw_point_similarity

PICTURES = dict(
    overlay=compare_sample,
    overlap=draw_overlap,
    pixel_similarity=draw_pixel_similarity,
    point_similarity=draw_point_similarity,
    matches=draw_matches,
    feature_plot=plot_features,
    feature_map=draw_features)

__all__ = ['PICTURES', 'compare_poses', 'compare_sample', 'draw_features', 'draw_matches',
           'draw_overlap', 'draw_pixel_similarity', 'draw_point_similarity', 'plot_features',
           'plot_error_histograms', 'plot_recall', 'plot_roc']
