"""Where figures come from: revision of the code, machine, command."""
from __future__ import annotations

import os
import platform
import shlex
import subprocess
from pathlib import Path
from typing import List, Mapping, Sequence

import torch

ROOT = Path(__file__).resolve().parents[2]


def commit() -> str:
    """Revision of the code, ``-dirty`` with changes; ``unknown`` outside a checkout."""
    try:
        return subprocess.check_output(
            ['git', 'describe', '--always', '--dirty', '--exclude=*'], cwd=str(ROOT),
            stderr=subprocess.DEVNULL, universal_newlines=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def machine() -> str:
    """Processor, cores, graphics card and torch of this machine."""
    device = f', {torch.cuda.get_device_name()}' if torch.cuda.is_available() else ''
    return f'{_processor()}, {os.cpu_count()} cores{device}, torch {torch.__version__}'


def _processor() -> str:
    path = Path('/proc/cpuinfo')
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def assignments(variables: Mapping[str, str]) -> List[str]:
    """``NAME=value`` words, quoted for a shell."""
    return [f'{name}={shlex.quote(value)}' for name, value in sorted(variables.items())]


def command_line(script: str, words: Sequence[str], variables: Mapping[str, str]) -> str:
    """The command to repeat what a script did.

    Args:
        script: Its name in ``tools``.
        words: Its arguments.
        variables: Environment variables that it depends on.
    """
    return ' '.join([*assignments(variables), f'python tools/{script}', *map(shlex.quote, words)])
