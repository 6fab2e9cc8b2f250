"""Repeats of a training in OpenPCDet, of which the best counts (paper, section 4.3)."""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import List, Sequence

from .detection_ap import Precisions, average, read_precisions
from .execution import Processes

MODULE = 'nclr_plugin.pcdet.train'


def run_repeats(flags: Sequence[str], repeats: int, tag: str, out: Path) -> List[Precisions]:
    """Train and evaluate several times, independently, but for what is done already.

    Repeat k has the host's ``extra_tag`` ``TAG_k``, and so a folder of its own, from whose latest
    checkpoint the host goes on if it was interrupted. Its output is ``out/repeat_k.log``; when it
    has ended, its APs are in ``out/repeat_k.json``.

    Args:
        flags: Flags of OpenPCDet's ``train.py``.
        repeats: Number of repeats.
        tag: Beginning of their ``extra_tag``.
        out: Folder of logs and APs.

    Returns:
        The APs of each repeat.

    Raises:
        RunError: If a training fails; the message names the log.
        ValueError: If a log has no evaluation on KITTI, or ``out`` holds repeats of other flags.
    """
    results = []
    for number in range(1, repeats + 1):
        log, record = (out / f'repeat_{number}.{suffix}' for suffix in ('log', 'json'))
        command = ['--extra_tag', f'{tag}_{number}', *flags]  # --set takes all that follows
        if not record.is_file():
            Processes().run([sys.executable, '-m', MODULE, *command], log)
            precisions = read_precisions(log)
            content = dict(flags=command, average=average(precisions), precisions=[
                [*key, value] for key, value in precisions.items()])
            record.write_text(json.dumps(content, indent=1) + '\n')
        content = json.loads(record.read_text())
        if content['flags'] != command:
            raise ValueError(f"{record}: expected a repeat with the flags {' '.join(command)}, "
                             f"found one with {' '.join(content['flags'])}; give another --out")
        results.append({(name, level): value for name, level, value in content['precisions']})
    return results
