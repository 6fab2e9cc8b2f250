"""Label fractions: which part of the labelled training frames is used.

A split is drawn once and kept in a small JSON file, so that everybody who is given the file trains
on the same frames.
"""
from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Callable, Dict, List, Sequence

from ..errors import DataLayoutError
from .readers.pairing import require_file, shorten

# What published work takes for 0.1% of nuScenes, where every 1000th of 700 scenes is none.
SMALLEST_NUSCENES_SCENE = 'scene-0392'


def select_randomly(ids: Sequence[str], percent: float, seed: int) -> List[str]:
    """Select a random part of the frames; it contains every smaller part.

    Args:
        ids: Frames.
        percent: Share of them, 0 to 100; rounded to whole frames.
        seed: Same seed and frames, same part.

    Returns:
        The frames, sorted.

    Raises:
        DataLayoutError: If that is no frame.
    """
    shuffled = sorted(ids)
    random.Random(seed).shuffle(shuffled)
    return _some(sorted(shuffled[:round(len(shuffled) * percent / 100)]), ids, percent, 'frames')


def select_evenly(ids: Sequence[str], percent: float) -> List[str]:
    """Every (100 / percent)-th frame in sorted order, the first one included.

    The protocol of SemanticPOSS, whose published code relies on the unsorted order of a folder.

    Raises:
        DataLayoutError: If that is no frame.
    """
    return _some(sorted(ids)[::_step(percent)], ids, percent, 'frames')


def select_scenes(scenes: Sequence[str], percent: float) -> List[str]:
    """Every (100 / percent)-th scene in the order of nuScenes' scene table.

    Where that is none (0.1% of 700 scenes), it is scene-0392, as in published work.

    Raises:
        DataLayoutError: If that is no scene, and scene-0392 is not among them.
    """
    step = _step(percent)
    chosen = list(scenes[step - 1::step])
    if not chosen and SMALLEST_NUSCENES_SCENE in scenes:
        chosen = [SMALLEST_NUSCENES_SCENE]
    return _some(chosen, scenes, percent, 'scenes')


@dataclass
class LabelSplit:
    """The frames, or scenes, of each label fraction.

    Attributes:
        dataset: Name of the data set.
        rule: How they were chosen, in words.
        fractions: Ids by percentage.
    """
    dataset: str
    rule: str
    fractions: Dict[float, List[str]] = field(default_factory=dict)

    def select(self, infos: Sequence[dict], percent: float,
               identify: Callable[[dict], str]) -> List[dict]:
        """Return the infos of a fraction.

        Args:
            infos: All infos.
            percent: A percentage of this split.
            identify: Info -> id of its frame or scene.

        Raises:
            DataLayoutError: If the split has no such percentage, or names what is not there.
        """
        if percent not in self.fractions:
            raise DataLayoutError(
                f'label split ({self.rule}): expected a list for {percent:g}%, found lists for '
                f'{[f"{there:g}" for there in sorted(self.fractions)]} %.')
        wanted = set(self.fractions[percent])
        absent = sorted(wanted - {identify(info) for info in infos})
        if absent:
            raise DataLayoutError(
                f'label split ({self.rule}), {percent:g}%: expected the {len(wanted)} frames or '
                f'scenes that it lists, {len(absent)} of them are not there: {shorten(absent)}; '
                'add them, or draw a split of the frames that are there (without --split).')
        chosen = [info for info in infos if identify(info) in wanted]
        return _some(chosen, infos, percent, 'frames')

    def save(self, path: str) -> None:
        """Write the split as JSON, an id a line."""
        content = dict(dataset=self.dataset, rule=self.rule, fractions={
            f'{percent:g}': ids for percent, ids in sorted(self.fractions.items())})
        with open(path, 'w') as file:
            json.dump(content, file, indent=0)
            file.write('\n')

    @classmethod
    def load(cls, path: str, dataset: str) -> 'LabelSplit':
        """Read a split: a file of :meth:`save`, or a percentile list of the SegContrast protocol.

        The latter has shares as keys (``'0.001'`` is 0.1%), and below them for each sequence the
        paths of its scans, ``points``; only sequence and file name of a path matter.

        Args:
            path: The file.
            dataset: The data set that it is for.

        Raises:
            FileNotFoundError: If there is no file.
            DataLayoutError: If it is neither of them, or a split of another data set.
        """
        require_file(path, 'Expected a label split of tools/create_infos.py, or a percentile list '
                     'of the SegContrast protocol (--split).')
        with open(path) as file:
            try:
                content = json.load(file)
                if 'fractions' in content:
                    split = cls(content['dataset'], content['rule'], {
                        float(percent): list(ids)
                        for percent, ids in content['fractions'].items()})
                else:
                    split = cls('semantickitti', f'percentile list {PurePath(path).name}', {
                        round(float(share) * 100, 6): _frames_of(sequences)
                        for share, sequences in content.items()})
            except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
                raise DataLayoutError(
                    f"label split '{path}': expected JSON with 'dataset', 'rule' and 'fractions', "
                    "or lists of scans as {share: {sequence: {'points': [path, ...]}}}, found "
                    f'something else ({type(error).__name__}: {error}).') from None
        if split.dataset != dataset:
            raise DataLayoutError(f"label split '{path}': expected one of {dataset}, found one of "
                                  f'{split.dataset}.')
        return split


def _frames_of(sequences: Dict[str, dict]) -> List[str]:
    """Frame ids ``XX/NNNNNN`` of the scans of a percentile list."""
    return sorted(f'{sequence}/{PurePath(path).stem}' for sequence, files in sequences.items()
                  for path in files['points'])


def _step(percent: float) -> int:
    if not 0 < percent <= 100:
        raise DataLayoutError(f'label fraction: expected more than 0 and at most 100 percent, '
                              f'found {percent:g}.')
    return round(100 / percent)


def _some(chosen: list, among: Sequence, percent: float, what: str) -> list:
    if not chosen:
        raise DataLayoutError(f'label fraction: {percent:g}% of {len(among)} {what} selects none; '
                              'take a larger fraction.')
    return chosen
