"""Picture of a label-efficiency experiment: metric against fraction of the labels."""
from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from nclr_plugin.utils.optional import optional_import
from .label_plan import SCRATCH
from .label_report import LabelResult, by_cell, deviation, inits_of

SCRATCH_COLOUR = '#777777'
COLOURS = ('#1f5fa8', '#d08770', '#5b8c5a', '#8a5fa8')
SPREAD = 0.012  # of the axis: lines lie next to each other, so that their bars can be told apart


def write_figure(results: Sequence[LabelResult], metrics: Sequence[str], path: Path) -> None:
    """Draw a line for each initialisation: means with a standard deviation to either side.

    One panel a metric; a dot is a run. The axis of the fractions is logarithmic.

    Args:
        results: At least one.
        metrics: Names of the metrics.
        path: PNG file.
    """
    figures = optional_import('matplotlib.figure', 'matplotlib', 'The picture of label efficiency')
    figure = figures.Figure((4.6 * len(metrics), 3.8), layout='constrained')
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for panel, metric in zip(panels, metrics):
        _draw(panel, results, metric)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.suptitle('mean and standard deviation over seeds; dots are runs', fontsize=9)
    figure.legend(handles, labels, loc='outside lower center', ncols=2 * len(panels),
                  frameon=False, fontsize=9)
    figure.savefig(str(path), dpi=130)


def _draw(panel: Any, results: Sequence[LabelResult], metric: str) -> None:
    fractions = sorted({result.fraction for result in results})
    cells, inits = by_cell(results), inits_of(results)
    colours = itertools.cycle(COLOURS)
    lowest, highest = fractions[0] / 1.6, fractions[-1] * 1.6
    shift = (highest / lowest)**SPREAD
    for place, init in enumerate(inits):
        colour = SCRATCH_COLOUR if init == SCRATCH else next(colours)
        groups = [(f, [r.get(metric) for r in cells[init, f]]) for f in fractions
                  if (init, f) in cells]
        x = np.array([f for f, _ in groups]) * shift**(place - (len(inits) - 1) / 2)
        runs = [len(values) for _, values in groups]
        label = f"{init}, {'-'.join(str(n) for n in sorted({min(runs), max(runs)}))} runs"
        panel.errorbar(x, [np.mean(values) for _, values in groups],
                       [np.nan_to_num(deviation(values)) for _, values in groups], color=colour,
                       linewidth=1.6, capsize=3.5, label=label)
        for at, (_, values) in zip(x, groups):
            panel.plot([at] * len(values), values, 'o', color='white', markeredgecolor=colour,
                       markersize=3.5, markeredgewidth=0.8, zorder=3)
    panel.set_xscale('log')
    panel.set_xticks(fractions, [f'{fraction:g}%' for fraction in fractions], fontsize=8)
    panel.set_xticks([], minor=True)
    panel.set_xlim(lowest, highest)
    panel.set_xlabel('labels used for fine-tuning')
    panel.set_ylabel(metric.rsplit('/', 1)[-1])
    panel.grid(color='0.88', linewidth=0.6)
    panel.set_axisbelow(True)
    for side in ('top', 'right'):
        panel.spines[side].set_visible(False)
