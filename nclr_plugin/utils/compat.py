"""Versions of the libraries below that need a helping hand."""
from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load`` accept what the checkpoints of mmengine's Runner hold besides tensors.

    From torch 2.6 on, ``torch.load`` refuses classes that it was not told about, and mmengine
    0.10.7 resumes from checkpoints that hold its log history: numpy arrays inside
    :class:`mmengine.logging.HistoryBuffer`. They are declared here, by torch's own list; anything
    else in a checkpoint is still refused. Does nothing for an older torch.
    """
    if hasattr(torch.serialization, 'add_safe_globals'):
        torch.serialization.add_safe_globals([HistoryBuffer] + _numpy_globals())


def _numpy_globals() -> List[Any]:
    """What a pickled numpy array or scalar refers to, under its names in numpy 1 and 2."""
    reconstruct, _ = np.empty(0).__reduce__()[:2]
    scalar, _ = np.float64(0).__reduce__()[:2]
    dtypes = {type(np.dtype(name)) for name in ('bool', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4',
                                               'u8', 'f2', 'f4', 'f8', 'U', 'S')}
    functions: List[Tuple[Any, str]] = [
        (function, f'numpy.{core}.multiarray.{function.__name__}')
        for function in (reconstruct, scalar) for core in ('core', '_core')]
    return [np.ndarray, np.dtype, *dtypes, *functions]
