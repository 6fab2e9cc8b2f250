"""What is run: configs with seeds, their settings and their commands."""
from __future__ import annotations

import argparse
import ast
import functools
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from mmengine.config import Config, DictAction

from .environment import Variables, environment

TEST = 'test'  # name of the test set that the configs themselves name
SEED_KEYS = ('randomness.seed', 'train_dataloader.dataset.seed', 'test_dataloader.dataset.seed')


class TestSet(NamedTuple):
    """An evaluation of each checkpoint.

    Attributes:
        name: Of the files and of the table.
        options: ``key=value`` words beside those of the run.
    """
    __test__ = False  # it is no test, whatever pytest thinks of its name
    name: str
    options: Tuple[str, ...] = ()


class Run(NamedTuple):
    """A config trained with a seed, and its evaluations.

    Attributes:
        row: Name of its row in the table, and of the folder of its seeds.
        config: File of the config.
        seed: Of all randomness; it is named in ``options``.
        out: Folder of all runs.
        options: ``key=value`` words, which override the config, later ones earlier ones.
        checkpoint: File to evaluate instead of training, or ``none``; see ``tools/test.py``.
        variables: Environment variables, which fill in the config; None unsets one.
        test_flags: Words for ``tools/test.py``.
    """
    row: str
    config: Path
    seed: int
    out: Path
    options: Tuple[str, ...] = ()
    checkpoint: Optional[str] = None
    variables: Variables = ()
    test_flags: Tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Row and seed."""
        return f'{self.row} seed {self.seed}'

    @property
    def folder(self) -> Path:
        """Work directory."""
        return self.out / self.row / f'seed_{self.seed}'

    def test_folder(self, test_set: TestSet) -> Path:
        """Work directory of an evaluation."""
        return self.folder / 'tests' / test_set.name

    def load(self, test_set: TestSet = TestSet(TEST)) -> Config:
        """The config with all options.

        Raises:
            ValueError: If the options do not fit the config.
        """
        with environment(self.variables):
            config = Config.fromfile(str(self.config), import_custom_modules=False)
        words = [*self.options, *test_set.options]
        try:
            config.merge_from_dict(parse_options(words))
        except (TypeError, KeyError, IndexError, AssertionError) as error:
            raise ValueError(f"{self.config} does not take the options {' '.join(words)}: "
                             f'{error}') from error
        return config

    def train_command(self, tools: Path) -> List[str]:
        """Words of the training, which goes on where an interrupted one stopped."""
        return [sys.executable, str(tools / 'train.py'), str(self.config), '--work-dir',
                str(self.folder), '--resume', '--cfg-options', *self.options]

    def test_command(self, tools: Path, test_set: TestSet, checkpoint: str) -> List[str]:
        """Words of an evaluation."""
        return [sys.executable, str(tools / 'test.py'), str(self.config), checkpoint, '--work-dir',
                str(self.test_folder(test_set)), *self.test_flags, '--cfg-options', *self.options,
                *test_set.options]


def plan_runs(configs: Sequence[str], seeds: Sequence[int], out: str,
              options: Sequence[str] = (), checkpoint: Optional[str] = None) -> List[Run]:
    """The runs of an ablation, all rows of a seed before the next seed.

    They are evaluated with the wrong-image control.

    Raises:
        FileNotFoundError: If a config or the checkpoint is absent.
        ValueError: If two configs share their file name, or the options do not fit.
    """
    paths = [Path(config) for config in configs]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f'{path}: no such config')
        if [other.stem for other in paths].count(path.stem) > 1:
            raise ValueError(f'{path}: another config has the same file name, which is the name of '
                             'the row; rename one of them')
    if checkpoint not in (None, 'none') and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'{checkpoint}: no such checkpoint; expected a .pth file, or none '
                                'for the random initialisation')
    runs = [Run(path.stem, path, seed, Path(out), (*seed_options(SEED_KEYS, seed), *options),
                checkpoint, test_flags=('--wrong-image-control', ))
            for seed in dict.fromkeys(seeds) for path in paths]
    for run in runs:
        run.load()
    return runs


def variables_read(runs: Iterable[Run]) -> Dict[str, str]:
    """Environment variables that configs read, such as those of data sets, but for runs' own."""
    return {name: value for run in runs for name, value in run.load().env_variables.items()
            if name not in dict(run.variables)}


def seed_options(keys: Sequence[str], seed: int) -> Tuple[str, ...]:
    """``key=value`` words that set a seed."""
    return tuple(f'{key}={seed}' for key in keys)


def plan_tests(test_sets: Sequence[Sequence[str]]) -> List[TestSet]:
    """The configs' own test set, then the further ones.

    Args:
        test_sets: Of each the name, then ``key=value`` words.

    Raises:
        ValueError: If a name is used twice, or is no name.
    """
    planned = [TestSet(TEST)]
    for name, *options in test_sets:
        if '=' in name or '/' in name or name in [other.name for other in planned]:
            raise ValueError(f"--test-set {name}: expected a name of its own (no '=' or '/', not "
                             f"'{TEST}', which is the test set of the config), then key=value")
        planned.append(TestSet(name, tuple(options)))
    return planned


def parse_options(words: Sequence[str]) -> Dict[str, Any]:
    """``key=value`` words as mmengine's command lines read them.

    Raises:
        ValueError: If a word has no ``=``.
    """
    wrong = [word for word in words if '=' not in word]
    if wrong:
        raise ValueError(f"options: expected key=value, found '{wrong[0]}'")
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='+', action=DictAction, default={})
    return parser.parse_args(['--options', *words] if words else []).options


def title_of(config: Path) -> str:
    """First line of a config's docstring, or its stem."""
    docstring = ast.get_docstring(ast.parse(config.read_text()))
    return docstring.splitlines()[0].rstrip('.') if docstring else config.stem


def flatten(node: Any, prefix: str = '') -> Dict[str, str]:
    """A config as ``{'model.pose_head.threshold': '8.0'}``: dotted keys, values as JSON.

    Example:
        >>> flatten(dict(a=dict(b=1, c=[dict(d=2.)])))
        {'a.b': '1', 'a.c.0.d': '2.0'}
    """
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, (list, tuple)) and any(isinstance(value, dict) for value in node):
        items = enumerate(node)
    else:
        return {prefix: json.dumps(node, default=str)}
    flat = {}
    for key, value in items:
        flat.update(flatten(value, f'{prefix}.{key}' if prefix else str(key)))
    return flat


def differences(first: Dict[str, str], second: Dict[str, str]) -> List[str]:
    """Keys whose values differ, or that one of two flat configs lacks."""
    return sorted(key for key in {*first, *second} if first.get(key) != second.get(key))


def settings(run: Run, test_set: TestSet = TestSet(TEST)) -> Dict[str, str]:
    """The flat config; a variable of the run that names a file stands for what is in that file."""
    contents = {json.dumps(value): f'file of content {_digest(value, os.path.getmtime(value))}'
                for _, value in run.variables if value is not None and Path(value).is_file()}
    return {key: contents.get(value, value)
            for key, value in flatten(run.load(test_set).to_dict()).items()}


def training_settings(run: Run) -> Dict[str, str]:
    """What a training depends on: the settings but for the test parts."""
    return {key: value for key, value in settings(run).items() if not key.startswith('test_')}


@functools.lru_cache(maxsize=None)
def _digest(path: str, mtime: float) -> str:
    """Digest of a file, which is read once unless it is written anew."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
