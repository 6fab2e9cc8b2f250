"""Curves of registration recall (paper, Fig. 9) and of rejected mismatched pairs."""
from __future__ import annotations

from typing import Any

import numpy as np

from .canvas import new_figure, render

STYLES = dict(
    predicted=dict(color='#2e86ab', linestyle='-', linewidth=2.5),
    identity=dict(color='#555555', linestyle='--', linewidth=2),
    **{'mismatched image': dict(color='#e07b00', linestyle='-.', linewidth=2)})


def plot_recall(curves: dict[str, dict[str, Any]]) -> np.ndarray:
    """Plot the share of views whose rotation or translation error is below a threshold.

    Args:
        curves: For each name (``predicted``, ``identity``, ``mismatched image``), the recalls
            ``rre`` (A,) at ``rre_thresholds`` (A,) in degrees and ``rte`` (B,) at
            ``rte_thresholds`` (B,) in metres.

    Returns:
        uint8 RGB picture.
    """
    figure, axes = new_figure(1440, 600, 2)
    for axis, error, label in zip(axes, ('rre', 'rte'), ('RRE threshold [deg]',
                                                         'RTE threshold [m]')):
        for name, curve in curves.items():
            axis.plot(np.asarray(curve[f'{error}_thresholds']), 100 * np.asarray(curve[error]),
                      label=name, **STYLES.get(name, dict(linewidth=2)))
        axis.set_xlabel(label, fontsize=14)
        axis.set_ylabel('recall [%]', fontsize=14)
        axis.set_ylim(-2, 102)
        axis.set_xlim(0, max(np.max(curve[f'{error}_thresholds']) for curve in curves.values()))
        axis.tick_params(labelsize=12)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=13)
    figure.suptitle('Registration recall: views whose error is below the threshold', fontsize=16)
    return render(figure)


def plot_error_histograms(errors: dict[str, Any], degrees: float, metres: float,
                          bins: int = 20) -> np.ndarray:
    """Plot histograms of the rotation and translation errors of views (CrossI2P, Fig. 4).

    Args:
        errors: Errors by name of the method, with the attributes ``rre`` (N,) in degrees and
            ``rte`` (N,) in metres, infinite without a pose.
        degrees: End of the axis of rotation errors. The last bar counts larger errors and views
            without a pose.
        metres: End of the axis of translation errors, likewise.
        bins: Number of bars below the end of the axis.

    Returns:
        uint8 RGB picture.
    """
    figure, axes = new_figure(1440, 600, 2)
    for axis, kind, end, unit in zip(axes, ('rre', 'rte'), (degrees, metres), ('deg', 'm')):
        edges = np.linspace(0, end, bins + 1)
        width = edges[1] / (len(errors) + 0.5)
        for number, (name, views) in enumerate(errors.items()):
            # searchsorted, because a last bin without an end cannot be drawn by hist.
            index = np.searchsorted(edges, getattr(views, kind), side='right') - 1
            share = np.bincount(index, minlength=bins + 1) / len(index)
            axis.bar(edges + (number + 0.5) * width, 100 * share, width, label=name)
        axis.axvline(end, color='0.6', linewidth=1)
        axis.set_xlabel(f'{kind.upper()} [{unit}]; last bar: {end:g} and more, or no pose',
                        fontsize=14)
        axis.set_ylabel('views [%]', fontsize=14)
        axis.set_xlim(0, end + edges[1])
        axis.tick_params(labelsize=12)
        axis.grid(axis='y', alpha=0.3)
        axis.set_axisbelow(True)
    axes[0].legend(fontsize=13)
    figure.suptitle('Errors of the views', fontsize=16)
    return render(figure)


def plot_roc(roc: dict[str, Any]) -> np.ndarray:
    """Plot the share of true pairs accepted over that of mismatched ones, for each score.

    Args:
        roc: :class:`~nclr_plugin.evaluation.confidence.Rejection` by name of the score.

    Returns:
        uint8 RGB picture.
    """
    figure, (axis, ) = new_figure(720, 600, 1)
    for name, curve in roc.items():
        line, = axis.step(100 * np.concatenate([[0], curve.accepted_other]),
                          100 * np.concatenate([[0], curve.accepted_true]), where='post',
                          label=f'{name}: {100 * curve.rejected:.0f}% of mismatched pairs rejected',
                          linewidth=2)
        index = np.flatnonzero(curve.thresholds == curve.threshold)
        axis.plot(100 * curve.accepted_other[index], 100 * curve.accepted_true[index], 'o',
                  color=line.get_color())
    axis.plot([0, 100], [0, 100], color='#555555', linestyle='--', linewidth=1)
    axis.set_xlabel('mismatched pairs accepted [%]', fontsize=14)
    axis.set_ylabel('true pairs accepted [%]', fontsize=14)
    axis.set_xlim(-2, 102)
    axis.set_ylim(-2, 102)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=12, loc='lower right')
    return render(figure)
