"""What a label-efficiency experiment consists of: initialisations x fractions x seeds."""
from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from .plan import Run, seed_options

SCRATCH = 'scratch'
PRETRAINED = 'pretrained'  # name of a checkpoint that is given none
FRACTION = 'NCLR_FRACTION'
CHECKPOINT = 'NCLR_CHECKPOINT'


class LabelRun(NamedTuple):
    """A fine-tuning from one initialisation on a fraction of the labels.

    Attributes:
        init: ``scratch``, or the name of a checkpoint.
        fraction: Percent of the labels.
        run: The training and its evaluation.
    """
    init: str
    fraction: float
    run: Run


def parse_checkpoints(words: Sequence[str]) -> Dict[str, str]:
    """``FILE`` or ``NAME=FILE`` words as a mapping of names to files.

    Raises:
        FileNotFoundError: If a file is absent.
        ValueError: If a name is used twice or taken, or cannot be one of a folder.
    """
    checkpoints: Dict[str, str] = {}
    for word in words:
        name, file = (PRETRAINED, word) if Path(word).is_file() or '=' not in word \
            else word.split('=', 1)
        if not Path(file).is_file():
            raise FileNotFoundError(f'--checkpoint {word}: no such file {file}; expected FILE or '
                                    'NAME=FILE')
        if not name or '/' in name or name == SCRATCH or name in checkpoints:
            raise ValueError(f"--checkpoint {word}: the name '{name}' is '{SCRATCH}', used twice, "
                             "empty or with a '/'; give NAME=FILE with a name of its own")
        checkpoints[name] = file
    return checkpoints


def plan_label_runs(config: str, checkpoints: Mapping[str, str], fractions: Sequence[float],
                    seeds: Sequence[int], out: str,
                    options: Sequence[str] = ()) -> List[LabelRun]:
    """The runs: all of a seed before the next seed, small fractions first.

    A run is told its fraction and its checkpoint by the variables ``NCLR_FRACTION`` and
    ``NCLR_CHECKPOINT``; the latter is not set from scratch.

    Args:
        config: File of a fine-tuning config that is filled in from the two variables.
        checkpoints: Files by the names of their rows; from scratch is always run.
        fractions: Percent of the labels.
        seeds: Of initialisation and order of the samples.
        out: Folder of all runs.
        options: ``key=value`` words, which override the config.

    Raises:
        FileNotFoundError: If the config is absent.
        ValueError: If a fraction is out of range, the config does not read one of the variables or
            sets ``load_from``, or the options do not fit.
    """
    if not Path(config).is_file():
        raise FileNotFoundError(f'{config}: no such config')
    for fraction in fractions:
        if not 0 < fraction <= 100:
            raise ValueError(f'--fractions {fraction:g}: expected percent, above 0 and at most 100')
    inits: Dict[str, Optional[str]] = {SCRATCH: None, **checkpoints}
    runs = [
        LabelRun(init, fraction, Run(
            f'{init}/fraction_{fraction:g}', Path(config), seed, Path(out),
            (*seed_options(['randomness.seed'], seed), *options),
            variables=((FRACTION, f'{fraction:g}'), (CHECKPOINT, file))))
        for seed in dict.fromkeys(seeds) for fraction in sorted(set(fractions))
        for init, file in inits.items()
    ]
    for label_run in runs:
        _check(label_run.run)
    return runs


def _check(run: Run) -> None:
    """Refuse a config that would train the same whatever the fraction or the checkpoint is."""
    config = run.load()
    ignored = [name for name, value in run.variables
               if value is not None and name not in config.env_variables]
    if ignored:
        raise ValueError(f'{run.config} does not read the variable {ignored[0]}, so that all '
                         f"runs would be the same; expected '{{{{${ignored[0]}:default}}}}' in it, "
                         'as in configs/semseg')
    if config.get('load_from'):
        raise ValueError(f"{run.config} sets load_from='{config.load_from}', which a resumable "
                         'training drops; load weights by the init_cfg of the backbone instead: '
                         "dict(type='NCLRPretrained', checkpoint=...)")
