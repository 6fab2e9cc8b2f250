"""Runs: configs with seeds, their settings, commands and provenance."""
from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

import torch
from mmengine.config import Config, DictAction

from ..engine.finetuning import checkpoint_options, fraction_options

ROOT = Path(__file__).resolve().parents[2]
TEST = 'test'  # name of the test set of the configs themselves
SEED_KEYS = ('randomness.seed', 'train_dataloader.dataset.seed', 'test_dataloader.dataset.seed')

# mmengine reloads pkg_resources for a base config of another package; in two threads at a time
# this fails now and then.
_LOADING = threading.Lock()


class TestSet(NamedTuple):
    """An evaluation of each checkpoint.

    Attributes:
        name: Name of its files and its table.
        options: ``key=value`` overrides in addition to those of the run.
    """
    __test__ = False  # tell pytest that this class is not a test
    name: str
    options: tuple[str, ...] = ()


CONFIG_TEST_SET = TestSet(TEST)


class Run(NamedTuple):
    """A config trained with a seed, and its evaluations.

    Attributes:
        row: Name of the table row, and of the folder that holds its seeds.
        config: Config file.
        seed: Random seed, which ``options`` pass to the config.
        out: Output folder for all runs.
        options: ``key=value`` overrides of the config; later ones take precedence.
        checkpoint: File to evaluate instead of training, or ``none``; see ``tools/test.py``.
        fraction: Percent of the labels to train on; ``None`` keeps the config's.
        weights: File of pretrained weights to start from; ``None`` keeps the config's.
        test_flags: Flags for ``tools/test.py``.
    """
    row: str
    config: Path
    seed: int
    out: Path
    options: tuple[str, ...] = ()
    checkpoint: str | None = None
    fraction: float | None = None
    weights: str | None = None
    test_flags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return row and seed."""
        return f'{self.row} seed {self.seed}'

    @property
    def folder(self) -> Path:
        """Return the work directory."""
        return self.out / self.row / f'seed_{self.seed}'

    def test_folder(self, test_set: TestSet) -> Path:
        """Return the work directory of an evaluation."""
        return self.folder / 'tests' / test_set.name

    def load(self, test_set: TestSet = CONFIG_TEST_SET) -> Config:
        """Load the config with all options.

        Raises:
            ValueError: If the options, the fraction or the weights do not fit the config.
        """
        with _LOADING:
            config = Config.fromfile(str(self.config), import_custom_modules=False)
        if self.fraction is not None:
            config.merge_from_dict(fraction_options(config, self.fraction))
        if self.weights is not None:
            config.merge_from_dict(checkpoint_options(config, self.weights))
        words = [*self.options, *test_set.options]
        try:
            config.merge_from_dict(parse_options(words))
        except (TypeError, KeyError, IndexError, AssertionError) as error:
            raise ValueError(f"{self.config} does not take the options {' '.join(words)}: "
                             f'{error}') from error
        return config

    def train_command(self, tools: Path) -> list[str]:
        """Return the command that trains, or resumes an interrupted training."""
        flags = [] if self.fraction is None else ['--fraction', f'{self.fraction:g}']
        flags += [] if self.weights is None else ['--checkpoint', self.weights]
        return [sys.executable, str(tools / 'train.py'), str(self.config), '--work-dir',
                str(self.folder), '--resume', *flags, '--cfg-options', *self.options]

    def test_command(self, tools: Path, test_set: TestSet, checkpoint: str) -> list[str]:
        """Return the command of an evaluation."""
        return [sys.executable, str(tools / 'test.py'), str(self.config), checkpoint, '--work-dir',
                str(self.test_folder(test_set)), *self.test_flags, '--cfg-options', *self.options,
                *test_set.options]


def variables_read(runs: Iterable[Run]) -> dict[str, str]:
    """Return the environment variables that the configs read: the roots of the data sets."""
    return {name: value for run in runs for name, value in run.load().env_variables.items()}


def seed_options(keys: Sequence[str], seed: int) -> tuple[str, ...]:
    """Return the ``key=value`` overrides that set a seed."""
    return tuple(f'{key}={seed}' for key in keys)


def plan_tests(test_sets: Sequence[Sequence[str]]) -> list[TestSet]:
    """Plan the evaluations: the configs' own test set, then the additional ones.

    Args:
        test_sets: Name and ``key=value`` overrides of each additional test set.

    Raises:
        ValueError: If a name is used twice or is not valid.
    """
    planned = [CONFIG_TEST_SET]
    for name, *options in test_sets:
        if '=' in name or '/' in name or name in [other.name for other in planned]:
            raise ValueError(f"--test-set {name}: expected a unique name (without '=' or '/', and "
                             f"not '{TEST}', the test set of the config), then key=value")
        planned.append(TestSet(name, tuple(options)))
    return planned


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """Parse ``key=value`` words as mmengine's command lines do.

    Raises:
        ValueError: If a word has no ``=``.
    """
    wrong = [word for word in words if '=' not in word]
    if wrong:
        raise ValueError(f"options: expected key=value, found '{wrong[0]}'")
    parsed = SimpleNamespace()
    DictAction([], 'options')(None, parsed, words)
    return parsed.options


def title_of(config: Path) -> str:
    """Return the first line of a config's docstring, or the stem of its file if it has none."""
    docstring = ast.get_docstring(ast.parse(config.read_text()))
    return docstring.splitlines()[0].rstrip('.') if docstring else config.stem


def flatten(node: Any, prefix: str = '') -> dict[str, str]:
    """Flatten a config into dotted keys with JSON values.

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


def differences(first: dict[str, str], second: dict[str, str]) -> list[str]:
    """Return the keys that differ between two flat configs or exist in only one of them."""
    return sorted(key for key in {*first, *second} if first.get(key) != second.get(key))


def settings(run: Run, test_set: TestSet = CONFIG_TEST_SET) -> dict[str, str]:
    """Return the flat config, with the file of pretrained weights replaced by its digest."""
    flat = flatten(run.load(test_set).to_dict())
    if run.weights is None:
        return flat
    digest = f'file of content {_digest(run.weights, os.path.getmtime(run.weights))}'
    return {key: digest if value == json.dumps(run.weights) else value
            for key, value in flat.items()}


def training_settings(run: Run) -> dict[str, str]:
    """Return the settings that the training depends on: all except those of the test."""
    return {key: value for key, value in settings(run).items() if not key.startswith('test_')}


@functools.lru_cache(maxsize=None)
def _digest(path: str, mtime: float) -> str:
    """Return the digest of a file; it is read again only if it was modified."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def commit() -> str:
    """Return the revision of the code, ``-dirty`` if modified, ``unknown`` outside a checkout."""
    try:
        return subprocess.check_output(
            ['git', 'describe', '--always', '--dirty', '--exclude=*'], cwd=str(ROOT),
            stderr=subprocess.DEVNULL, universal_newlines=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def machine() -> str:
    """Describe this machine: processor, cores, GPU and torch version."""
    device = f', {torch.cuda.get_device_name()}' if torch.cuda.is_available() else ''
    return f'{_processor()}, {os.cpu_count()} cores{device}, torch {torch.__version__}'


def _processor() -> str:
    path = Path('/proc/cpuinfo')
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def assignments(variables: Mapping[str, str]) -> list[str]:
    """Return ``NAME=value`` words, quoted for a shell."""
    return [f'{name}={shlex.quote(value)}' for name, value in sorted(variables.items())]


def command_line(script: str, words: Sequence[str], variables: Mapping[str, str]) -> str:
    """Return the command that reproduces a call of a script.

    Args:
        script: Name of the script in ``tools``.
        words: Arguments of the script.
        variables: Environment variables that it depends on.
    """
    return ' '.join([*assignments(variables), f'python tools/{script}', *map(shlex.quote, words)])


def provenance(commits: Iterable[str], command: str) -> str:
    """Format the provenance of a table as Markdown: commits, machine and command."""
    return f"Commit {', '.join(sorted(set(commits)))}; {machine()}\n\n```bash\n{command}\n```"
