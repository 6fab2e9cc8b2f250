"""Methods x data sets, or methods x disturbances, in the layout of registration papers."""
from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from nclr_plugin.benchmarks.tables import markdown_table
from nclr_plugin.evaluation.protocols import PROTOCOLS, Protocol, get_protocol
from .plan import TEST


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        description='RRE, RTE, inlier ratio and recall of the evaluations that tools/ablation.py '
        'has written: a line for each method and test set, columns for each data set.')
    parser.add_argument('results', nargs='+', metavar='NAME=RESULTS.CSV',
                        help='a data set and the results of the methods on it')
    parser.add_argument('--protocol', default='corri2p_10_5', choices=sorted(PROTOCOLS))
    parser.add_argument('--inlier-px', type=float, default=5.)
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Print the table.

    Args:
        argv: Arguments of the command line; default ``sys.argv[1:]``.
    """
    args = parse(argv)
    try:
        data_sets = {}
        for word in args.results:
            name, equals, path = word.partition('=')
            if not equals:
                raise ValueError(f'"{word}": expected NAME=RESULTS.CSV')
            data_sets[name] = read_results(Path(path), args.protocol)
        print(registration_table(data_sets, args.protocol, args.inlier_px))
    except (OSError, ValueError) as error:
        sys.exit(f'{type(error).__name__}: {error}')


def read_results(path: Path, protocol: str) -> List[Dict[str, str]]:
    """Lines of a ``results.csv``.

    Raises:
        ValueError: When none of them was evaluated by the protocol.
    """
    with path.open() as stream:
        lines = list(csv.DictReader(stream))
    if not any(line.get(f'registration/{protocol}_rre_deg_mean') for line in lines):
        raise ValueError(
            f"{path}: expected figures of the protocol {protocol}, found none; add it to the "
            "protocols of RegistrationMetric in test_evaluator and evaluate again")
    return lines


def registration_table(data_sets: Dict[str, List[Dict[str, str]]], protocol: str,
                       inlier_px: float = 5.) -> str:
    """Markdown: a line for each row, seed and test set, four columns for each data set.

    Args:
        data_sets: Lines of ``results.csv`` by the name of the data set.
        protocol: Name of the protocol.
        inlier_px: Threshold of the inlier ratio, pixels.
    """
    rule = get_protocol(protocol)
    keys = list(dict.fromkeys(
        _key(line) for lines in data_sets.values() for line in lines))
    seeds = {key[1] for key in keys}
    rows = []
    for key in keys:
        row, seed, test_set = key
        title = row if test_set == TEST else f'{row}, {test_set}'
        cells = {'': title if len(seeds) == 1 else f'{title}, seed {seed}'}
        for name, lines in data_sets.items():
            line = next((line for line in lines if _key(line) == key), {})
            cells.update(_cells(name, line, protocol, rule, inlier_px))
        rows.append(cells)
    degrees, metres = rule.thresholds[0]
    note = (f'Protocol {protocol} ({rule.origin}). RRE: {rule.rotation}; mean +- deviation over '
            f'the views: {rule.mean_over}; RR within {degrees:g} deg and {metres:g} m, of all '
            f'views. A view without a pose {rule.failures}.')
    return f'{markdown_table(rows)}\n\n{note}'


def _key(line: Dict[str, str]) -> tuple:
    return line['row'], line['seed'], line['test_set']


def _cells(name: str, line: Dict[str, str], protocol: str, rule: Protocol,
           inlier_px: float) -> Dict[str, str]:
    prefix = f'registration/{protocol}'
    degrees, metres = rule.thresholds[0]

    def figure(key: str, scale: float = 1.) -> str:
        text = line.get(key) or 'nan'
        return f'{scale * float(text):.2f}' if float(text) == float(text) else '-'

    def spread(kind: str) -> str:
        mean = figure(f'{prefix}_{kind}_mean')
        return mean if mean == '-' else f"{mean} +- {figure(f'{prefix}_{kind}_std')}"

    return {
        f'{name} RRE, deg': spread('rre_deg'),
        f'{name} RTE, m': spread('rte_m'),
        f'{name} IR, %': figure(f'registration/inlier_ratio_{inlier_px:g}px', 100.),
        f'{name} RR, %': figure(f'{prefix}_recall_{degrees:g}deg_{metres:g}m', 100.),
    }
