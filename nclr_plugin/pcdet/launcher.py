"""Run OpenPCDet's tools with this project's classes and a check of ``--pretrained_model``."""
from __future__ import annotations

import functools
import importlib
import os
import runpy
import sys
from pathlib import Path
from typing import Any, Callable, Sequence

import yaml
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from ..checkpoints import PretrainedWeightsError, read_state_dict
from ..checkpoints.kernels import fit_to_shape
from ..checkpoints.names import TORCHSPARSE, looks_like
from ..checkpoints.voxels import Voxels, warn_of_difference
from ..errors import DataLayoutError, one_line_errors
from . import find_openpcdet, register

PATH_FLAGS = ('--cfg_file', '--ckpt', '--pretrained_model', '--ckpt_dir')
PATH_KEYS = ('DATA_CONFIG.DATA_PATH', )  # keys of --set that hold paths
BASE = '_BASE_CONFIG_'
PREFIX = 'backbone_3d.'
ENCODERS = ('VoxelBackBone8x', 'VoxelResBackBone8x')


def run_tool(name: str, argv: Sequence[str] | None = None) -> None:
    """Run ``tools/<name>.py`` of OpenPCDet, with its own flags, from any working directory.

    The tool runs in OpenPCDet's ``tools`` folder, because paths in its YAML are relative to it.
    Paths on the command line may be relative to the current directory or to that folder. A
    ``_BASE_CONFIG_`` may also be relative to the folder of its YAML. OpenPCDet writes the results
    to ``output/<path of the YAML>/<name of the YAML>/<extra_tag>`` in its checkout.

    Args:
        name: ``'train'`` or ``'test'``.
        argv: Command-line arguments, ``sys.argv[1:]`` by default.
    """
    with one_line_errors():
        tools = find_openpcdet() / 'tools'
        start = Path.cwd()
        argv = absolute_paths(sys.argv[1:] if argv is None else argv, start)
        register()
        config = importlib.import_module('pcdet.config')
        # OpenPCDet itself looks for a _BASE_CONFIG_ in the working directory only.
        config.cfg_from_yaml_file = config_loader(config.merge_new_config, [tools, start])
        script = tools / f'{name}.py'
        sys.argv = [str(script), *argv]
        sys.path.insert(0, str(tools))  # its scripts import each other
        os.chdir(tools)
        if name == 'train':
            _check_before_loading(config.cfg)
        runpy.run_path(str(script), run_name='__main__')


def _check_before_loading(config: Any) -> None:
    """Let OpenPCDet's detectors check a file of weights before they load it.

    Args:
        config: OpenPCDet's config, which its tool fills before it builds a detector.
    """
    from pcdet.models.detectors import Detector3DTemplate
    load = Detector3DTemplate.load_params_from_file

    @functools.wraps(load)
    def load_checked(detector: nn.Module, filename: str, *args: Any, **kwargs: Any) -> None:
        check_pretrained_model(filename, detector, config)
        load(detector, filename, *args, **kwargs)

    Detector3DTemplate.load_params_from_file = load_checked


def absolute_paths(argv: Sequence[str], start: Path) -> list[str]:
    """Make path arguments absolute if they exist relative to ``start``.

    Other paths are left to OpenPCDet, which looks in its ``tools`` folder.
    """
    argv = [part for word in argv for part in _split_flag(word)]
    for index, flag in enumerate(argv[:-1]):
        if flag in PATH_FLAGS + PATH_KEYS and (start / argv[index + 1]).exists():
            argv[index + 1] = str((start / argv[index + 1]).resolve())
    return argv


def config_loader(merge: Callable[[dict, dict], dict],
                  folders: Sequence[Path]) -> Callable[[str, Any], Any]:
    """Return a ``cfg_from_yaml_file`` that finds each ``_BASE_CONFIG_``, also nested ones.

    Args:
        merge: OpenPCDet's ``merge_new_config``.
        folders: Folders to search for a relative ``_BASE_CONFIG_``, before the folder of its YAML.
            The first match is used.
    """

    def load(cfg_file: str, config: Any) -> Any:
        path = Path(cfg_file)
        if not path.is_file():
            raise FileNotFoundError(f'--cfg_file {cfg_file}: expected a YAML file there or in '
                                    f'{Path.cwd()}, found none.')
        return merge(config, _expand(_read(path), path, folders))

    return load


def _read(path: Path) -> dict:
    content = yaml.safe_load(path.read_text(encoding='utf-8'))
    if not isinstance(content, dict):
        raise DataLayoutError(f"config '{path}': expected a mapping of keys, found "
                              f'{type(content).__name__}.')
    return content


def _split_flag(word: str) -> list[str]:
    """Split ``--flag=value`` into two words if the flag takes a path."""
    flag, equals, value = word.partition('=')
    return [flag, value] if equals and flag in PATH_FLAGS else [word]


def _expand(node: dict, path: Path, folders: Sequence[Path]) -> dict:
    """Replace each ``_BASE_CONFIG_`` in the mapping of a YAML by the contents of that file."""
    content = {}
    if BASE in node:
        base = _locate(node[BASE], path, folders)
        content = _expand(_read(base), base, folders)
    own = {key: _expand(value, path, folders) if isinstance(value, dict) else value
           for key, value in node.items() if key != BASE}
    return _merge(content, own)


def _locate(name: str, path: Path, folders: Sequence[Path]) -> Path:
    folders = [*folders, path.resolve().parent]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{path}: {BASE} '{name}': expected in one of "
                            f"{', '.join(map(str, folders))}, found in none; give a path "
                            'relative to one of them or an absolute path.')


def _merge(base: dict, own: dict) -> dict:
    """Merge mappings recursively, as OpenPCDet does; other values of ``own`` replace ``base``'s."""
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both else value
    return merged


def check_pretrained_model(checkpoint: str, detector: nn.Module, config: Any) -> None:
    """Refuse a file that does not fill the sparse encoder; warn if its voxels differ.

    OpenPCDet itself loads only the tensors with matching names and shapes, and trains even if there
    are none.

    Args:
        checkpoint: Path of the file.
        detector: OpenPCDet's detector; one with another ``BACKBONE_3D`` or without one is not
            checked.
        config: OpenPCDet's config, whose voxels are the detector's.

    Raises:
        FileNotFoundError: If the file does not exist.
        BrokenCheckpointError: If torch cannot read the file.
        PretrainedWeightsError: If the file lacks tensors of the encoder, or has other shapes.
    """
    if type(getattr(detector, 'backbone_3d', None)).__name__ not in ENCODERS:
        return
    require_shapes(checkpoint, read_encoder(checkpoint), {
        name: tensor for name, tensor in detector.state_dict().items() if name.startswith(PREFIX)})
    data = config['DATA_CONFIG']
    warn_of_difference(checkpoint, Voxels(
        next(step['VOXEL_SIZE'] for step in data['DATA_PROCESSOR'] if 'VOXEL_SIZE' in step),
        data['POINT_CLOUD_RANGE']))


def read_encoder(checkpoint: str) -> dict[str, Tensor]:
    """Read the tensors that OpenPCDet would load into the encoder, ``backbone_3d.*``.

    Raises:
        PretrainedWeightsError: If there are none under the names that OpenPCDet loads; see also
            :func:`check_pretrained_model`.
    """
    tensors = read_state_dict(checkpoint)  # under any prefix
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    state = content.get('model_state') or {}
    found = {name: tensor for name, tensor in state.items() if name.startswith(PREFIX)}
    if not found:
        known = looks_like(tensors)
        advice = ('write one by python tools/export_backbone.py FILE --to openpcdet --out OUT'
                  if 'detector' in known else 'take a checkpoint of a VoxelNet')
        raise PretrainedWeightsError(
            f"--pretrained_model {checkpoint}: expected 'model_state' with {PREFIX}*, the sparse "
            f'encoder of this detector, found {known}, first names {list(tensors)[:2]}; {advice}')
    return found


def require_shapes(checkpoint: str, found: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    """Refuse an encoder that does not match the detector's.

    Args:
        checkpoint: Path of the file, for the message.
        found: Tensors of the file. Kernels of spconv 1 are accepted: OpenPCDet permutes them.
        own: Tensors of the detector.

    Raises:
        PretrainedWeightsError: If tensors are missing or have other shapes.
    """
    wrong = [name for name, tensor in own.items() if name not in found or
             fit_to_shape(found[name], tensor.shape, TORCHSPARSE) is None]
    if wrong:
        name = wrong[0]
        shape = tuple(found[name].shape) if name in found else 'none'
        raise PretrainedWeightsError(
            f"--pretrained_model {checkpoint}: expected all {len(own)} tensors of this detector's "
            f'encoder, found {len(wrong)} missing or of another shape, first {name}, '
            f'{tuple(own[name].shape)} in the detector, {shape} in the file; pretrain with this '
            "detector's BACKBONE_3D and used_feature_list")
