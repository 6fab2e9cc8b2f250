"""Read checkpoint files, whoever wrote them.

Importing this registers :func:`load_from_local`, :func:`load_from_http` and :func:`load_from_hub`
as mmengine's way to load files, web addresses and ``hf://``; that covers ``--resume``,
``load_from``, ``tools/test.py`` and ``init_cfg``.
"""
from __future__ import annotations

import os
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, Optional
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from ..errors import BrokenCheckpointError, PretrainedWeightsError
from ..utils.optional import optional_import
from .kernels import looks_like_spconv1
from .unpickling import load_inert

# Where frameworks keep the tensors of the network: mmengine and Lightning, OpenPCDet, and others.
ENTRIES = ('state_dict', 'model_state', 'model_state_dict', 'model', 'net', 'network', 'module',
           'weights', 'params')
COUNTER = 'num_batches_tracked'
_NOT_WEIGHTS = re.compile('optim|sched|scaler|meta|history', re.IGNORECASE)
_WRAPPERS = (re.compile(r'(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|'
                        r'_checkpoint_wrapped_module)\.'), re.compile(r'^(?:module\.)+'))


def load_from_local(filename: str, map_location: Optional[Any] = None) -> Any:
    """Load a checkpoint file; nothing that it brings is run.

    Args:
        filename: A file of ``torch.save`` or, whatever its name, of safetensors.
        map_location: As of ``torch.load``.

    Returns:
        What the file holds. Objects of classes that are neither tensors nor plain values are
        empty. The tensors of the network are below ``'state_dict'``, where mmengine looks for
        them, or at the top, without the prefixes of :func:`clean_name`.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If it is of safetensors, which is not installed.
        BrokenCheckpointError: If it cannot be read, with its size, the reason and the other
            checkpoints of its folder.
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
    except Exception as error:  # there is no end to what unpickling wrong bytes may raise
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise BrokenCheckpointError(_explain(path, reason)) from error
    if unknown:
        warnings.warn(f"checkpoint '{path}': objects of {', '.join(unknown[:3])}"
                      f"{', ...' if len(unknown) > 3 else ''} were left out; tensors and plain "
                      'values are read', stacklevel=2)
    return _for_mmengine(content)


def load_from_http(filename: str, map_location: Optional[Any] = None) -> Any:
    """Load a checkpoint of the web, by way of torch's folder of such files.

    Args:
        filename: Its address.
        map_location: As of ``torch.load``.

    Returns:
        As :func:`load_from_local`.
    """
    return _download(filename, os.path.basename(urlparse(filename).path), map_location)


def load_from_hub(filename: str, map_location: Optional[Any] = None) -> Any:
    """Load a file of a repository on the Hugging Face hub, or on the one of ``HF_ENDPOINT``.

    Args:
        filename: ``hf://OWNER/NAME/FILE``, or ``hf://OWNER/NAME@REVISION/FILE``.
        map_location: As of ``torch.load``.

    Returns:
        As :func:`load_from_local`.

    Raises:
        PretrainedWeightsError: If the address is of another form.
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


def _download(address: str, name: str, map_location: Optional[Any]) -> Any:
    """Load what lies at an address, by way of ``name`` in torch's folder of checkpoints."""
    path = os.path.join(torch.hub.get_dir(), 'checkpoints', name)
    if is_main_process() and not os.path.isfile(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        torch.hub.download_url_to_file(address, path)
    barrier()
    return load_from_local(path, map_location)


def find_state_dict(content: Any, depth: int = 3) -> Mapping:
    """Find the tensors of the network in the content of a checkpoint.

    Args:
        content: What the file holds.
        depth: Levels of nested dictionaries to look into.

    Returns:
        The dictionary that holds them by name, beside other things perhaps: that under one of
        :data:`ENTRIES`, else the one with most tensors; an empty one where there are none.
    """
    if not isinstance(content, Mapping) or not depth:
        return {}
    for entry in ENTRIES:
        found = find_state_dict(content.get(entry), depth - 1)
        if found:
            return found
    inner = [find_state_dict(value, depth - 1) for key, value in content.items()
             if not _NOT_WEIGHTS.search(str(key))]
    return max([content if _tensors(content) else {}, *inner], key=_tensors)


def clean_name(name: str) -> str:
    """Take the prefixes of training in parallel and of compiling out of a tensor's name.

    Example:
        >>> clean_name('module._orig_mod.stem.0.weight')
        'stem.0.weight'
    """
    for wrapper in _WRAPPERS:
        name = wrapper.sub('', name)
    return name


def is_counter(name: str) -> bool:
    """Whether a tensor counts the steps of a norm, which is no weight and may be absent."""
    return name.rpartition('.')[2] == COUNTER


def _for_mmengine(content: Any) -> Any:
    """Put the tensors of the network where mmengine looks, under the names that it expects."""
    state = find_state_dict(content)
    wrapped = any(isinstance(name, str) and clean_name(name) != name for name in state)
    if not state or not wrapped and (state is content or state is content.get('state_dict')):
        return content
    renamed = OrderedDict((clean_name(name) if isinstance(name, str) else name, value)
                          for name, value in state.items()) if wrapped else state
    if wrapped and hasattr(state, '_metadata'):  # its names are those of modules, without a dot
        renamed._metadata = OrderedDict((clean_name(f'{name}.')[:-1], value)
                                        for name, value in state._metadata.items())
    return {**({} if state is content else content), 'state_dict': renamed}


def _tensors(content: Mapping) -> int:
    return sum(isinstance(key, str) and isinstance(value, Tensor)
               for key, value in content.items())


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: the length of a header in JSON, and that."""
    with open(path, 'rb') as file:
        head = file.read(9)
    return head[8:] == b'{' and int.from_bytes(head[:8], 'little') < path.stat().st_size


def _load_safetensors(path: Path, map_location: Any) -> Dict[str, Tensor]:
    library = optional_import('safetensors.torch', 'safetensors', f"checkpoint '{path}'")
    device = 'cpu' if map_location is None or callable(map_location) else str(map_location)
    state = OrderedDict(library.load_file(str(path), device=device))
    # The format has no place for the versions of modules. Without, mmdet3d would permute kernels
    # as if they came from spconv 1.
    state._metadata = OrderedDict((name.rpartition('.')[0], dict(version=2))
                                  for name, tensor in state.items()
                                  if tensor.dim() == 5 and not looks_like_spconv1(tensor))
    return state


def _explain(path: Path, reason: str) -> str:
    others = sorted((file for file in path.parent.glob('*.pth') if file != path),
                    key=lambda file: file.stat().st_mtime)
    advice = (f'take another one, such as {others[-1]} (to go on with a training: --resume '
              f'{others[-1]})' if others else 'take another one, or train again')
    return (f"checkpoint '{path}': expected a complete file of torch.save or safetensors, found "
            f'{path.stat().st_size} bytes that cannot be read ({reason}); it is cut off, '
            f'corrupt or something else; {advice}')


CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), loader=load_from_http,
                                 force=True)
CheckpointLoader.register_scheme(prefixes='hf://', loader=load_from_hub, force=True)
