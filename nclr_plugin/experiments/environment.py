"""Environment variables of a run: its config is filled in from them, its processes inherit them."""
from __future__ import annotations

import contextlib
import os
import threading
from typing import Dict, Iterator, Optional, Tuple

Variables = Tuple[Tuple[str, Optional[str]], ...]
_LOCK = threading.RLock()


@contextlib.contextmanager
def environment(variables: Variables) -> Iterator[None]:
    """Set variables of this process for a while.

    mmengine fills ``{{$NAME:default}}`` in from ``os.environ``, of which a process has only one:
    threads wait here for each other.

    Args:
        variables: Names and values; None unsets a variable.
    """
    with _LOCK:
        before = {name: os.environ.get(name) for name, _ in variables}
        _set(dict(variables))
        try:
            yield
        finally:
            _set(before)


def _set(values: Dict[str, Optional[str]]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
