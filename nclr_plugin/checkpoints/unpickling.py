"""Unpickle checkpoints without running code from them.

A pickle names classes and functions, which the usual reader imports and calls. Here only those of
tensors, arrays and mmengine's log history are looked up. Any other name, importable or not, becomes
a class without behaviour.
"""
from __future__ import annotations

import builtins
import codecs
import collections
import io
import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

PLAIN = ('bool', 'bytearray', 'bytes', 'complex', 'dict', 'float', 'frozenset', 'int', 'list',
         'object', 'set', 'slice', 'str', 'tuple')
STATISTICS = ('mean', 'min', 'max', 'current')


class Unknown(dict):
    """Placeholder of an object whose class is not looked up.

    It keeps the entries of a dictionary, which may be tensors, and drops everything else.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __call__(self, *args: Any, **kwargs: Any) -> 'Unknown':
        """Return a placeholder for the result of a method."""
        return Unknown()

    def __setstate__(self, state: Any) -> None:
        """Drop the attributes."""

    __hash__ = object.__hash__

    def _drop(self, *args: Any) -> None:
        """Drop the items of a list or a set."""

    append = extend = add = _drop


def load_inert(path: str, map_location: Any = None) -> tuple[Any, list[str]]:
    """Load a file of ``torch.save`` without running code that it names.

    Args:
        path: File, in either format of torch.
        map_location: See ``torch.load``.

    Returns:
        Content, and names of the classes and functions that :class:`Unknown` replaces.

    Raises:
        Exception: If the file is broken or has another format; torch raises many types.
    """
    unknown: dict[str, type] = {}
    return torch.load(path, map_location=map_location, pickle_module=_pickle_module(unknown),
                      weights_only=False), list(unknown)


def _pickle_module(unknown: dict[str, type]) -> Any:
    """Return a replacement of the module ``pickle`` for ``torch.load``."""

    class Unpickler(pickle.Unpickler):
        """Look up known names alone."""

        def find_class(self, module: str, name: str) -> Any:
            known = _known(module, name)
            if known is not None:
                return known
            path = f'{module}.{name}'
            if path not in unknown:
                unknown[path] = type(name.rpartition('.')[2], (Unknown, ), {})
            return unknown[path]

    return SimpleNamespace(
        __name__='inert_pickle', Unpickler=Unpickler,
        load=lambda file, **kwargs: Unpickler(file, **kwargs).load())


def _known(module: str, name: str) -> Any:
    """Return the class or function of a harmless name, ``None`` for any other."""
    if module == 'torch':
        value = getattr(torch, name, None)
        harmless = isinstance(value, (torch.dtype, torch.layout)) or value in (
            torch.Tensor, torch.Size, torch.device, *torch._tensor_classes)
        return value if harmless else None
    if module == 'torch._utils' and name.startswith('_rebuild_'):
        return getattr(torch._utils, name, None)
    if module in ('builtins', '__builtin__'):
        return _attribute if name == 'getattr' else \
            getattr(builtins, name) if name in PLAIN else None
    if module.startswith('numpy'):
        return _NUMPY.get(name)
    return _OTHERS.get(f'{module}.{name}')


def _attribute(owner: Any, name: str) -> Any:
    """Replace ``getattr``, which protocol 2 uses to refer to the statistics of a log history."""
    return getattr(owner, name) if owner is HistoryBuffer and name in STATISTICS else Unknown


def _encode(text: str, encoding: str = 'latin1') -> bytes:
    """Encode text, which is how protocol 2 stores bytes."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'bytes in the encoding {encoding!r}')
    return codecs.encode(text, encoding)


def _reconstruct(cls: type, base: type, state: Any) -> Any:
    """Create an object of a known or unknown class."""
    return cls.__new__(cls) if base is object else cls(state)


def _load_from_bytes(content: bytes) -> Any:
    """Load a tensor that was pickled without torch: a file within the file."""
    return torch.load(io.BytesIO(content), pickle_module=_pickle_module({}), weights_only=False)


_NUMPY = {
    'ndarray': np.ndarray, 'dtype': np.dtype, '_reconstruct': np.empty(0).__reduce__()[0],
    'scalar': np.float64(0).__reduce__()[0],
    '_frombuffer': np.empty(1).__reduce_ex__(5)[0]}
_OTHERS = {
    'collections.OrderedDict': collections.OrderedDict,
    'collections.defaultdict': collections.defaultdict,
    'collections.deque': collections.deque,
    'collections.Counter': collections.Counter,
    '_codecs.encode': _encode,
    'copyreg._reconstructor': _reconstruct,
    'copy_reg._reconstructor': _reconstruct,
    'mmengine.config.config.ConfigDict': ConfigDict,
    'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
    'torch.Size': torch.Size,
    'torch._tensor._rebuild_from_type_v2': torch._tensor._rebuild_from_type_v2,
    'torch.nn.parameter.Parameter': torch.nn.Parameter,
    'torch.serialization._get_layout': torch.serialization._get_layout,
    'torch.storage._load_from_bytes': _load_from_bytes,
}
_OTHERS.update({f'mmengine.logging.history_buffer.HistoryBuffer.{name}':
                getattr(HistoryBuffer, name) for name in STATISTICS})
