"""Read checkpoint files of any framework.

Importing this module registers :func:`load_from_local`, :func:`load_from_http` and
:func:`load_from_hub` as mmengine's loaders of files, URLs and ``hf://`` addresses, for
``--resume``, ``load_from``, ``tools/test.py`` and ``init_cfg``.
"""
from __future__ import annotations

import os
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.dist import barrier, is_main_process
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import digit_version
from torch import Tensor

from ..errors import BrokenCheckpointError, PretrainedWeightsError
from ..utils.optional import optional_import
from .kernels import looks_like_spconv1
from .unpickling import load_inert

# Entries with the tensors of the network: of mmengine and Lightning, OpenPCDet, and others.
ENTRIES = ('state_dict', 'model_state', 'model_state_dict', 'model', 'net', 'network', 'module',
           'weights', 'params')
COUNTER = 'num_batches_tracked'
_NOT_WEIGHTS = re.compile('optim|sched|scaler|meta|history', re.IGNORECASE)
_WRAPPERS = (re.compile(r'(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|'
                        r'_checkpoint_wrapped_module)\.'), re.compile(r'^(?:module\.)+'))


def load_from_local(filename: str, map_location: Any | None = None) -> Any:
    """Load a checkpoint file without running code from it.

    Args:
        filename: File of ``torch.save`` or safetensors, with any suffix.
        map_location: See ``torch.load``.

    Returns:
        Content of the file. Objects other than tensors and plain values are empty. The tensors of
        the network are under ``'state_dict'``, where mmengine expects them, or at the top level,
        without the prefixes that :func:`clean_name` removes.

    Raises:
        FileNotFoundError: If the file is absent.
        ImportError: If safetensors is needed and not installed.
        BrokenCheckpointError: If the file cannot be read; the message names its size, the reason
            and another checkpoint of the folder.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint '{path}': no such file")
    unknown = []
    try:
        if _is_safetensors(path):
            return dict(state_dict=_load_safetensors(path, map_location))
        content, unknown = load_inert(str(path), map_location)
    except (PermissionError, ImportError, MemoryError):
        raise
    except Exception as error:  # unpickling wrong bytes may raise anything
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise BrokenCheckpointError(_explain(path, reason)) from error
    if unknown:
        warnings.warn(f"checkpoint '{path}': objects of {', '.join(unknown[:3])}"
                      f"{', ...' if len(unknown) > 3 else ''} were dropped; tensors and plain "
                      'values are read', stacklevel=2)
    return _for_mmengine(content)


def load_from_http(filename: str, map_location: Any | None = None) -> Any:
    """Download a checkpoint to torch's cache and load it.

    Args:
        filename: URL.
        map_location: See ``torch.load``.

    Returns:
        See :func:`load_from_local`.
    """
    return _download(filename, os.path.basename(urlparse(filename).path), map_location)


def load_from_hub(filename: str, map_location: Any | None = None) -> Any:
    """Load a file of a repository on the Hugging Face hub, or on the one of ``HF_ENDPOINT``.

    Args:
        filename: ``hf://OWNER/NAME/FILE``, or ``hf://OWNER/NAME@REVISION/FILE``.
        map_location: See ``torch.load``.

    Returns:
        See :func:`load_from_local`.

    Raises:
        PretrainedWeightsError: If the address has another form.
    """
    parts = re.fullmatch(r'hf://([^/@]+)/([^/@]+)(?:@([^/]+))?/(.+)', filename)
    if not parts:
        raise PretrainedWeightsError(f"checkpoint '{filename}': expected hf://OWNER/NAME/FILE or "
                                     'hf://OWNER/NAME@REVISION/FILE')
    owner, name, revision, file = parts.groups()
    revision = revision or 'main'
    endpoint = os.environ.get('HF_ENDPOINT', 'https://huggingface.co')
    return _download(f'{endpoint}/{owner}/{name}/resolve/{revision}/{file}',
                     os.path.join(owner, name, revision, file), map_location)


def _download(address: str, name: str, map_location: Any | None) -> Any:
    """Download a file to ``name`` in torch's cache, unless it exists, and load it."""
    path = os.path.join(torch.hub.get_dir(), 'checkpoints', name)
    if is_main_process() and not os.path.isfile(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        torch.hub.download_url_to_file(address, path)
    barrier()
    return load_from_local(path, map_location)


def find_state_dict(content: Any, depth: int = 3) -> Mapping:
    """Find the tensors of the network in the content of a checkpoint.

    Args:
        content: Content of the file.
        depth: Number of levels of nested dictionaries to search.

    Returns:
        Dictionary with the tensors by name, and perhaps other entries: the one under an entry of
        :data:`ENTRIES`, else the one with most tensors. Empty if there are no tensors.
    """
    if not isinstance(content, Mapping) or not depth:
        return {}
    for entry in ENTRIES:
        state = find_state_dict(content.get(entry), depth - 1)
        if state:
            return state
    inner = [find_state_dict(value, depth - 1) for key, value in content.items()
             if not _NOT_WEIGHTS.search(str(key))]
    return max([content if _tensors(content) else {}, *inner], key=_tensors)


def clean_name(name: str) -> str:
    """Remove the prefixes of parallel training and of compilation from a tensor's name.

    Example:
        >>> clean_name('module._orig_mod.stem.0.weight')
        'stem.0.weight'
    """
    for wrapper in _WRAPPERS:
        name = wrapper.sub('', name)
    return name


def is_counter(name: str) -> bool:
    """Return whether a tensor is the step counter of a norm, which may be absent."""
    return name.rpartition('.')[2] == COUNTER


def _for_mmengine(content: Any) -> Any:
    """Move the tensors of the network to where mmengine expects them, and clean their names."""
    state = find_state_dict(content)
    wrapped = any(isinstance(name, str) and clean_name(name) != name for name in state)
    if not state or not wrapped and (state is content or state is content.get('state_dict')):
        return content
    renamed = OrderedDict((clean_name(name) if isinstance(name, str) else name, value)
                          for name, value in state.items()) if wrapped else state
    if wrapped and hasattr(state, '_metadata'):  # by names of modules, without a dot at the end
        renamed._metadata = OrderedDict((clean_name(f'{name}.')[:-1], value)
                                        for name, value in state._metadata.items())
    return {**({} if state is content else content), 'state_dict': renamed}


def _tensors(content: Mapping) -> int:
    return sum(isinstance(key, str) and isinstance(value, Tensor)
               for key, value in content.items())


def _is_safetensors(path: Path) -> bool:
    """Return whether a file begins like safetensors: length of the JSON header, and header."""
    with open(path, 'rb') as file:
        head = file.read(9)
    return head[8:] == b'{' and int.from_bytes(head[:8], 'little') < path.stat().st_size


def _load_safetensors(path: Path, map_location: Any) -> dict[str, Tensor]:
    library = optional_import('safetensors.torch', 'safetensors', f"checkpoint '{path}'")
    device = 'cpu' if map_location is None or callable(map_location) else str(map_location)
    state = OrderedDict(library.load_file(str(path), device=device))
    # The format lacks the versions of modules, without which mmdet3d would permute kernels as if
    # they were of spconv 1.
    state._metadata = OrderedDict((name.rpartition('.')[0], dict(version=2))
                                  for name, tensor in state.items()
                                  if tensor.dim() == 5 and not looks_like_spconv1(tensor))
    return state


def _explain(path: Path, reason: str) -> str:
    others = sorted((file for file in path.parent.glob('*.pth') if file != path),
                    key=lambda file: file.stat().st_mtime)
    advice = (f'take another one, such as {others[-1]} (to continue a training: --resume '
              f'{others[-1]})' if others else 'take another one, or train again')
    return (f"checkpoint '{path}': expected a complete file of torch.save or safetensors, found "
            f'{path.stat().st_size} bytes that cannot be read ({reason}); it is truncated, '
            f'corrupt or of another format; {advice}')


def allow_mmengine_checkpoints() -> None:
    """Let plain ``torch.load`` accept the checkpoints of mmengine's Runner.

    From torch 2.6 on, ``torch.load`` refuses unknown classes. Checkpoints of mmengine contain the
    log history, :class:`mmengine.logging.HistoryBuffer` with numpy arrays, and
    :class:`mmengine.config.ConfigDict`. This function adds them to torch's list of safe classes. It
    does nothing for older releases of torch.
    """
    if digit_version(torch.__version__) >= digit_version('2.6'):
        torch.serialization.add_safe_globals(
            [ConfigDict, HistoryBuffer, (_statistic, 'builtins.getattr')] + _numpy_globals())


def _statistic(owner: Any, name: str) -> Any:
    """Replace ``getattr``, which pickled histories use to refer to their statistics.

    ``getattr`` itself would circumvent the check of classes.
    """
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'the checkpoint asks for {name!r} of {owner!r}, which no '
                                     'checkpoint of mmengine needs')
    return getattr(owner, name)


def _numpy_globals() -> list[Any]:
    """Return the classes and functions of pickled numpy arrays, by the names of numpy 1 and 2."""
    reconstruct = np.empty(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    kinds = ('?', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8', 'U', 'S')
    functions = [(function, f'numpy.{core}.multiarray.{function.__name__}')
                 for function in (reconstruct, scalar) for core in ('core', '_core')]
    # dtypes of one kind share a class, those of numpy < 1.25 all of them
    dtypes = {type(np.dtype(kind)) for kind in kinds} - {np.dtype}
    return [np.ndarray, np.dtype, *dtypes, *functions]


CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), loader=load_from_http,
                                 force=True)
CheckpointLoader.register_scheme(prefixes='hf://', loader=load_from_hub, force=True)
allow_mmengine_checkpoints()
