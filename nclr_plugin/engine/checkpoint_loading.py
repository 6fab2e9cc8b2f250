"""Checkpoint files that cannot be read."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.runner.checkpoint import load_from_local as load_by_host

from ..errors import BrokenCheckpointError


def load_from_local(filename: str, map_location: Optional[Any] = None) -> Any:
    """Load a checkpoint file as mmengine does, but name the file when that fails.

    torch's own message says what is wrong inside the file, not which file it is.

    Args:
        filename: The file.
        map_location: As of ``torch.load``.

    Returns:
        What the file holds.

    Raises:
        FileNotFoundError: If there is no such file.
        BrokenCheckpointError: If it cannot be read, with its size, torch's reason and the other
            checkpoints of its folder.
    """
    try:
        return load_by_host(filename, map_location)
    except (FileNotFoundError, PermissionError, ImportError, MemoryError):
        raise
    except Exception as error:  # there is no end to what unpickling wrong bytes may raise
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise BrokenCheckpointError(_explain(Path(filename).expanduser(), reason)) from error


def _explain(path: Path, reason: str) -> str:
    others = sorted((file for file in path.parent.glob('*.pth') if file != path),
                    key=lambda file: file.stat().st_mtime)
    advice = (f'take another one, such as {others[-1]} (to go on with a training: --resume '
              f'{others[-1]})' if others else 'take another one, or train again')
    return (f"checkpoint '{path}': expected a complete file of torch.save, found "
            f'{path.stat().st_size} bytes that torch cannot read ({reason}); it is cut off, '
            f'corrupt or something else; {advice}')


# mmengine's way to say how files are loaded; it covers --resume, load_from and tools/test.py.
CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
