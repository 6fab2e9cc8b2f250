"""Tables of an ablation's results."""
from __future__ import annotations

import csv
import io
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from nclr_plugin.benchmarks.tables import markdown_table
from .execution import read_test
from .plan import TEST, Run, TestSet, title_of
from .provenance import machine

RECALL = 'calibration/recall_10deg_5m'
STRICT_RECALL = 'calibration/recall_5deg_2m'
CONTROL = 'calibration/wrong_image_recall_10deg_5m'
IDENTITY = 'calibration/identity_recall_10deg_5m'


class Result(NamedTuple):
    """An evaluation of a run.

    Attributes:
        row: Name of the row.
        title: Its title.
        seed: Seed of the run.
        test_set: Name of the test set.
        commits: Revisions of the code that trained and evaluated.
        samples: Training samples that the model has seen.
        match: How the row matches, such as ``learned_soft``.
        metrics: All figures by name.
    """
    row: str
    title: str
    seed: int
    test_set: str
    commits: Tuple[str, ...]
    samples: int
    match: str
    metrics: Dict[str, float]

    def get(self, name: str) -> float:
        """A figure, not a number where the model has none; ``{match}`` in the name is filled in."""
        return self.metrics.get(name.format(match=self.match), float('nan'))


COLUMNS: Tuple[Tuple[str, str, Callable[[Result], float]], ...] = (
    ('recall 10 deg, 5 m', '.3f', lambda r: r.get(RECALL)),
    ('recall 5 deg, 2 m', '.3f', lambda r: r.get(STRICT_RECALL)),
    ('RRE, deg', '.3f', lambda r: r.get('calibration/rre_geodesic_deg_median')),
    ('RTE, m', '.3f', lambda r: r.get('calibration/rte_m_median')),
    ('wrong image, recall 10 deg, 5 m', '.3f', lambda r: r.get(CONTROL)),
    ('identity, recall 10 deg, 5 m', '.3f', lambda r: r.get(IDENTITY)),
    ('matches < 5 px', '.3f', lambda r: r.get('matching/{match}_accuracy_5px')),
    ('match error, px', '.2f', lambda r: r.get('matching/{match}_error_px_mean')),
    ('overlap IoU, points', '.3f', lambda r: r.get('overlap/point_iou')),
    ('overlap IoU, pixels', '.3f', lambda r: r.get('overlap/pixel_iou')),
    ('samples', '.0f', lambda r: r.samples),
)


def collect(runs: Sequence[Run], test_sets: Sequence[TestSet]) -> List[Result]:
    """Results of the evaluations that are finished, by row, seed and test set."""
    rows = list(dict.fromkeys(run.row for run in runs))
    results = []
    for run in sorted(runs, key=lambda run: rows.index(run.row)):
        for test_set in test_sets:
            record = read_test(run, test_set)
            if record is not None:
                results.append(Result(
                    run.row, title_of(run.config), run.seed, test_set.name,
                    tuple(record['commits']), record['samples'], match_mode(run.load(test_set)),
                    record['metrics']))
    return results


def match_mode(config: Any) -> str:
    """How the model of a config matches: ``cosine`` or ``learned``, ``_hard`` or ``_soft``."""
    head = config.model.get('matching_head') or {}
    return (f"{'learned' if head.get('alignment', True) else 'cosine'}_"
            f"{head.get('match', 'soft')}")


def csv_text(results: Sequence[Result]) -> str:
    """One line for each row, seed and test set, with every figure."""
    names = sorted({name for result in results for name in result.metrics})
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(['row', 'seed', 'test_set', 'match', 'samples', 'commits', *names])
    for result in results:
        figures = [result.metrics.get(name, '') for name in names]
        writer.writerow([result.row, result.seed, result.test_set, result.match, result.samples,
                         ' '.join(result.commits), *figures])
    return stream.getvalue()


def mean_and_deviation(values: Sequence[float], form: str = '.3f') -> str:
    """``mean +- sample standard deviation``; of one value itself; ``-`` when one is missing."""
    if not np.isfinite(values).all():
        return '-'
    mean = format(float(np.mean(values)), form)
    if len(values) == 1 or len(set(values)) == 1:
        return mean
    return f"{mean} +- {format(float(np.std(values, ddof=1)), form.lstrip('+'))}"


def by_row(results: Sequence[Result], test_set: str) -> Dict[str, List[Result]]:
    """The results on one test set by row."""
    rows: Dict[str, List[Result]] = {}
    for result in results:
        if result.test_set == test_set:
            rows.setdefault(result.row, []).append(result)
    return rows


def table(results: Sequence[Result], test_set: str) -> List[dict]:
    """Rows of the table of one test set: the main figures over the seeds."""
    return [
        dict([('', group[0].title)] + [
            (title, mean_and_deviation([figure(result) for result in group], form))
            for title, form, figure in COLUMNS
        ] + [('seeds', ' '.join(str(result.seed) for result in group))])
        for group in by_row(results, test_set).values()
    ]


def markdown(results: Sequence[Result], command: str) -> str:
    """The document: a table for each test set, and what the figures come from."""
    parts = []
    test_sets = list(dict.fromkeys(result.test_set for result in results))
    for test_set in test_sets:
        if len(test_sets) > 1:
            name = 'The test set of the configs' if test_set == TEST else f'Test set {test_set}'
            parts.append(f'### {name}')
        parts.append(markdown_table(table(results, test_set)))
    parts.append(
        'Mean +- standard deviation over seeds; RRE and RTE are medians over views. "Wrong image": '
        'the same scans and placements with the images of another scene. "Identity": the answer '
        'that nothing was moved. Matches: by the way of matching of the row itself.')
    commits = ', '.join(sorted({commit for result in results for commit in result.commits}))
    parts.append(f'Commit {commits}; {machine()}\n\n```bash\n{command}\n```')
    return '\n\n'.join(parts) + '\n'
