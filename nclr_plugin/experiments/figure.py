"""Picture of an ablation's results."""
from __future__ import annotations

from pathlib import Path
from typing import Any, List, Sequence

import numpy as np

from nclr_plugin.utils.optional import optional_import
from .plan import TEST
from .report import CONTROL, IDENTITY, RECALL, STRICT_RECALL, Result, by_row

SERIES = ((RECALL, 'recall 10 deg, 5 m', '#1f5fa8'),
          (STRICT_RECALL, 'recall 5 deg, 2 m', '#7fb2e5'),
          (CONTROL, 'wrong image, 10 deg, 5 m', '#d08770'))
HEIGHT = 0.26  # of a bar; rows are 1 apart


def write_figure(results: Sequence[Result], path: Path) -> None:
    """Draw the recall of each row, with a dot a seed, above its wrong-image control.

    One panel a test set. A black mark is the recall of the identity placement.

    Args:
        results: At least one.
        path: PNG file.
    """
    figures = optional_import('matplotlib.figure', 'matplotlib', 'The picture of an ablation')
    test_sets = list(dict.fromkeys(result.test_set for result in results))
    titles = {result.row: result.title for result in results}
    figure = figures.Figure((5 + 3 * len(test_sets), 1.3 + 0.75 * len(titles)),
                            layout='constrained')
    panels = figure.subplots(1, len(test_sets), squeeze=False, sharex=True, sharey=True)[0]
    for panel, name in zip(panels, test_sets):
        rows = by_row(results, name)
        _draw(panel, [rows.get(row, []) for row in titles])
        if len(panels) > 1:
            panel.set_title('test set of the configs' if name == TEST else name, fontsize=10)
    panels[0].set_yticks(range(len(titles)), titles.values(), fontsize=8)
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=4, frameon=False, fontsize=8)
    figure.savefig(str(path), dpi=120)


def _draw(panel: Any, groups: List[List[Result]]) -> None:
    """Bars of the means over each row's results, dots of the seeds."""
    for place, (key, label, colour) in enumerate(SERIES):
        at = np.arange(len(groups)) + (place - 1) * HEIGHT
        panel.barh(at, [_mean(group, key) for group in groups], HEIGHT, color=colour, label=label)
        for y, group in zip(at, groups):
            panel.plot([result.get(key) for result in group], [y] * len(group), 'o', color='white',
                       markeredgecolor='black', markersize=3.5, markeredgewidth=0.7, clip_on=False)
    places = np.arange(len(groups))
    panel.vlines([_mean(group, IDENTITY) for group in groups], places - 0.45, places + 0.45,
                 colors='black', linewidth=1.2, label='identity, 10 deg, 5 m')
    panel.set_xlim(0, 1)
    panel.set_xlabel('share of views', fontsize=8)
    panel.tick_params(axis='x', labelsize=8)
    panel.grid(axis='x', color='0.85', linewidth=0.6)
    panel.set_axisbelow(True)
    for side in ('top', 'right'):
        panel.spines[side].set_visible(False)


def _mean(group: List[Result], key: str) -> float:
    return float(np.mean([result.get(key) for result in group])) if group else float('nan')
