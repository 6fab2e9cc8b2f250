"""Runs as lines for a shell, for machines that have their own ways of starting processes."""
from __future__ import annotations

import shlex
from pathlib import Path
from typing import List, Sequence

from .plan import TEST, Run, TestSet, variables_read
from .provenance import assignments

FORMS = ('shell', 'torchrun', 'slurm')


def job_line(run: Run, tools: Path, form: str, gpus: int = 1) -> str:
    """One line that trains and then evaluates the last checkpoint.

    Interrupted, the same line goes on where the training stopped.

    Args:
        run: The run.
        tools: Folder of ``train.py`` and ``test.py``.
        form: ``shell``: one process; ``torchrun``: one process a GPU of this machine; ``slurm``:
            the host's ``srun`` call, with further words for it in ``$SRUN_ARGS``.
        gpus: Processes of the last two forms. Each has the batch size of the config.
    """
    last = f'"$(cat {shlex.quote(str(run.folder / "last_checkpoint"))})"'
    given = {name: value for name, value in run.variables if value is not None}
    unset = [f'unset {name}; ' for name, value in run.variables if value is None]
    train = _launched(run.train_command(tools), run, form, gpus)
    test = _launched(run.test_command(tools, TestSet(TEST), last), run, form, gpus, raw=last)
    exported = assignments({**variables_read([run]), **given})
    return f"( {''.join(unset)}export {' '.join(exported)}; {train} && {test} )"


def _launched(command: Sequence[str], run: Run, form: str, gpus: int, raw: str = '') -> str:
    """A command for the form.

    Args:
        command: Its words; the first is this machine's Python.
        run: The run, after which a job is named.
        form: See :func:`job_line`.
        gpus: See :func:`job_line`.
        raw: A word that is not quoted.
    """
    before: List[str] = ['python']
    after: List[str] = []
    if form == 'torchrun':
        before = ['torchrun', '--standalone', '--nproc_per_node', str(gpus)]
        after = ['--launcher', 'pytorch']
    elif form == 'slurm':
        node = min(gpus, 8)
        before = ['srun', f"--job-name={run.row.replace('/', '_')}_{run.seed}",
                  f'--gres=gpu:{node}', f'--ntasks={gpus}', f'--ntasks-per-node={node}',
                  '--kill-on-bad-exit=1', '$SRUN_ARGS', 'python', '-u']
        after = ['--launcher', 'slurm']
    words = [word if word == raw else shlex.quote(word) for word in command[1:]]
    return ' '.join([*before, *words, *after])
