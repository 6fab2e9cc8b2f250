"""Label fractions: subsets of the labelled training frames.

A split is sampled once and stored in a small JSON file, so that others can train on the same
frames.
"""
from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Callable, Sequence

from ..errors import DataLayoutError
from .readers.base import require_file, shorten

# Published work uses this scene as 0.1% of nuScenes, whose 700 scenes have no 1000th one.
SMALLEST_NUSCENES_SCENE = 'scene-0392'


def select_randomly(ids: Sequence[str], percent: float, seed: int) -> list[str]:
    """Select a random fraction of the frames; smaller fractions are subsets of larger ones.

    Args:
        ids: Frame ids.
        percent: Percentage of the frames, 0 to 100; rounded to whole frames.
        seed: Random seed.

    Returns:
        The frames, sorted.

    Raises:
        DataLayoutError: If the fraction selects no frame.
    """
    shuffled = sorted(ids)
    random.Random(seed).shuffle(shuffled)
    selected = sorted(shuffled[:round(len(shuffled) * percent / 100)])
    return _require_any(selected, ids, percent, 'frames')


def select_evenly(ids: Sequence[str], percent: float) -> list[str]:
    """Select every (100 / percent)-th frame in sorted order, beginning with the first.

    The protocol of SemanticPOSS, except that its published code uses a folder's unsorted order.

    Raises:
        DataLayoutError: If the fraction selects no frame.
    """
    return _require_any(sorted(ids)[::_step(percent)], ids, percent, 'frames')


def select_scenes(scenes: Sequence[str], percent: float) -> list[str]:
    """Select every (100 / percent)-th scene in the order of nuScenes' scene table.

    If that selects none (0.1% of 700 scenes), select scene-0392, as published work does.

    Raises:
        DataLayoutError: If the fraction selects no scene, and scene-0392 is absent.
    """
    step = _step(percent)
    selected = list(scenes[step - 1::step])
    if not selected and SMALLEST_NUSCENES_SCENE in scenes:
        selected = [SMALLEST_NUSCENES_SCENE]
    return _require_any(selected, scenes, percent, 'scenes')


@dataclass
class LabelSplit:
    """Frames or scenes of each label fraction.

    Attributes:
        dataset: Name of the data set.
        rule: Description of the selection.
        fractions: Ids by percentage.
    """
    dataset: str
    rule: str
    fractions: dict[float, list[str]] = field(default_factory=dict)

    def select(self, infos: Sequence[dict], percent: float,
               identify: Callable[[dict], str]) -> list[dict]:
        """Return the infos of a fraction.

        Args:
            infos: All infos.
            percent: A percentage of this split.
            identify: Function that returns the id of an info's frame or scene.

        Raises:
            DataLayoutError: If the split lacks the percentage, or lists ids that are absent.
        """
        if percent not in self.fractions:
            raise DataLayoutError(
                f'label split ({self.rule}): expected a list for {percent:g}%, found lists for '
                f'{[f"{known:g}" for known in sorted(self.fractions)]} %.')
        ids = set(self.fractions[percent])
        absent = sorted(ids - {identify(info) for info in infos})
        if absent:
            raise DataLayoutError(
                f'label split ({self.rule}), {percent:g}%: expected the {len(ids)} frames or '
                f'scenes of its list, {len(absent)} are absent: {shorten(absent)}; add them, or '
                'create a split of the present frames (without --split).')
        selected = [info for info in infos if identify(info) in ids]
        return _require_any(selected, infos, percent, 'frames')

    def save(self, path: str) -> None:
        """Write the split as JSON, one id per line."""
        content = dict(dataset=self.dataset, rule=self.rule, fractions={
            f'{percent:g}': ids for percent, ids in sorted(self.fractions.items())})
        with open(path, 'w') as file:
            json.dump(content, file, indent=0)
            file.write('\n')

    @classmethod
    def load(cls, path: str, dataset: str) -> 'LabelSplit':
        """Read a file of :meth:`save`, or a percentile list of the SegContrast protocol.

        Keys of the latter are shares (``'0.001'`` is 0.1%); the values list the paths of the scans
        by sequence, under ``points``. Only sequence and file name of a path count.

        Args:
            path: JSON file.
            dataset: Expected data set.

        Raises:
            FileNotFoundError: If the file does not exist.
            DataLayoutError: If it has another format or is for another data set.
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
                    f'another content ({type(error).__name__}: {error}).') from None
        if split.dataset != dataset:
            raise DataLayoutError(f"label split '{path}': expected one of {dataset}, found one of "
                                  f'{split.dataset}.')
        return split


def _frames_of(sequences: dict[str, dict]) -> list[str]:
    """Return the frame ids ``XX/NNNNNN`` of a percentile list."""
    return sorted(f'{sequence}/{PurePath(path).stem}' for sequence, files in sequences.items()
                  for path in files['points'])


def _step(percent: float) -> int:
    if not 0 < percent <= 100:
        raise DataLayoutError(f'label fraction: expected more than 0 and at most 100 percent, '
                              f'found {percent:g}.')
    return round(100 / percent)


def _require_any(selected: list, ids: Sequence, percent: float, what: str) -> list:
    if not selected:
        raise DataLayoutError(f'label fraction: {percent:g}% of {len(ids)} {what} selects none; '
                              'take a larger fraction.')
    return selected
