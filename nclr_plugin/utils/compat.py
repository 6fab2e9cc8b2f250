"""Versions of the libraries below that need a helping hand."""
from __future__ import annotations

import pickle
from typing import Any, List

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load`` accept what the checkpoints of mmengine's Runner hold besides tensors.

    From torch 2.6 on, ``torch.load`` refuses classes that it was not told about, and mmengine
    0.10.7 resumes from checkpoints with its log history in them: instances of
    :class:`mmengine.logging.HistoryBuffer`, numpy arrays inside; the description of a data set that
    was given in a config is a :class:`mmengine.config.ConfigDict`. They are declared here, in
    torch's own list; anything else in a checkpoint is still refused. Does nothing for an older
    torch.
    """
    if digit_version(torch.__version__) >= digit_version('2.6'):
        torch.serialization.add_safe_globals(
            [ConfigDict, HistoryBuffer, (_statistic, 'builtins.getattr')] + _numpy_globals())


def _statistic(owner: Any, name: str) -> Any:
    """Stand in for ``getattr`` when a checkpoint is read.

    A pickled history refers to its statistics as ``getattr(HistoryBuffer, 'mean')``. ``getattr``
    itself would open every door that the check of classes closes.
    """
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'the checkpoint asks for {name!r} of {owner!r}, which no '
                                     'checkpoint of mmengine needs')
    return getattr(owner, name)


def _numpy_globals() -> List[Any]:
    """Return what pickled arrays and scalars of numpy refer to, by the names of numpy 1 and 2."""
    reconstruct = np.empty(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    kinds = ('?', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8', 'U', 'S')
    functions = [(function, f'numpy.{core}.multiarray.{function.__name__}')
                 for function in (reconstruct, scalar) for core in ('core', '_core')]
    # dtypes of one kind share a class, those of numpy < 1.25 all of them
    dtypes = {type(np.dtype(kind)) for kind in kinds} - {np.dtype}
    return [np.ndarray, np.dtype, *dtypes, *functions]
