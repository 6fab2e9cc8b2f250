"""Compare the voxels of a detector with those of its pretrained encoder."""
from __future__ import annotations

import ast
import logging
from typing import Any, NamedTuple, Sequence

import torch
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from ..utils.dataset_wrappers import innermost_configs
from . import reading  # noqa: F401  (says how mmengine loads files)

_NO_VALUE = object()


class Voxels(NamedTuple):
    """Voxel size (x, y, z) and range (x, y, z minima, x, y, z maxima) of a network, metres."""
    size: tuple[float, ...]
    range: tuple[float, ...] | None

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that a ``model_state`` of OpenPCDet has besides the weights."""
        values = dict(voxel_size=self.size, point_cloud_range=self.range)
        return {name: torch.tensor(_numbers(value)) for name, value in values.items()
                if value is not None}


def warn_of_other_voxels(detector: nn.Module, checkpoint: str) -> None:
    """Warn if an encoder was pretrained with other voxels or heights than the detector's.

    Args:
        detector: Detector of mmdet3d; ignored without a voxelising data preprocessor.
        checkpoint: See :func:`warn_of_difference`.
    """
    layer = getattr(getattr(detector, 'data_preprocessor', None), 'voxel_layer', None)
    if layer is not None:
        warn_of_difference(checkpoint, Voxels(layer.voxel_size, layer.point_cloud_range))


def warn_of_difference(checkpoint: str, voxels: Voxels) -> None:
    """Warn if the voxels or heights of a checkpoint are not those of a detector.

    An encoder's weights load for any voxel size and range, but are useful for one size only, and
    its last layers for one range of heights. The horizontal range may differ.

    Args:
        checkpoint: File or URL that mmengine's loader supports.
        voxels: Voxels of the detector.
    """
    voxels, trained = Voxels(*map(_numbers, voxels)), voxels_of_checkpoint(checkpoint)
    if trained is None:
        print_log(f"{checkpoint} does not say which voxels it was trained on; this detector's are "
                  f'{voxels.size} m in the range {voxels.range}.', 'current')
        return
    if not _close(trained.size, voxels.size):
        print_log(f'{checkpoint} was trained on voxels of {trained.size} m, this detector has '
                  f'voxels of {voxels.size} m: pretrain with those, by '
                  "model.data_preprocessor.voxel_size (OpenPCDet: DATA_PROCESSOR's VOXEL_SIZE).",
                  'current', logging.WARNING)
    if trained.range and not _close(trained.range[2::3], voxels.range[2::3]):
        print_log(f'{checkpoint} was trained on the range {trained.range}, this detector has '
                  f'{voxels.range}, with other heights: pretrain with its heights, '
                  "by CropPoints's point_cloud_range (OpenPCDet: POINT_CLOUD_RANGE).", 'current',
                  logging.WARNING)


def voxels_of_checkpoint(checkpoint: str) -> Voxels | None:
    """Return the voxels that a checkpoint was trained with; ``None`` if unknown.

    Args:
        checkpoint: Checkpoint of an NCLR run in mmdet3d or OpenPCDet, of
            ``tools/export_backbone.py`` or of a voxel-based network of mmdet3d.
    """
    text = config_of_checkpoint(checkpoint)
    try:
        if text is not None:
            return _voxels_of_config(parse_config(text) or {})
        state = _entry(checkpoint, 'model_state')
        return Voxels(_numbers(state['voxel_size']), _numbers(state['point_cloud_range'])) \
            if {'voxel_size', 'point_cloud_range'} <= state.keys() else None
    except (AttributeError, KeyError, TypeError, ValueError):  # a config of another kind
        return None


def _voxels_of_config(config: dict) -> Voxels | None:
    preprocessor = config.get('model', {}).get('data_preprocessor') or {}
    layer = preprocessor.get('voxel_layer', preprocessor)
    if 'voxel_size' not in layer:
        return None
    limits = layer.get('point_cloud_range')
    for dataset in innermost_configs(config.get('train_dataloader', {}).get('dataset', {})):
        for step in dataset.get('pipeline', []):
            if step['type'] == 'CropPoints':
                limits = step['point_cloud_range']
    return Voxels(_numbers(layer['voxel_size']), limits and _numbers(limits))


def config_of_checkpoint(checkpoint: str) -> str | None:
    """Return the text of the config in a checkpoint of mmengine; ``None`` without one.

    Args:
        checkpoint: File or URL that mmengine's loader supports.
    """
    text = _entry(checkpoint, 'meta').get('cfg')
    return text if isinstance(text, str) else None


def _entry(checkpoint: str, name: str) -> dict:
    """Return a dictionary of a checkpoint; an empty one without an entry of this name."""
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    entry = content.get(name) if isinstance(content, dict) else None
    return entry if isinstance(entry, dict) else {}


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)  # single precision in OpenPCDet


def _close(first: Sequence[float], second: Sequence[float]) -> bool:
    return len(first) == len(second) and all(abs(a - b) < 1e-4 for a, b in zip(first, second))


def parse_config(text: str) -> dict[str, Any] | None:
    """Parse the text of a config that mmengine has written.

    The text assigns plain values, ``dict(...)`` and lists to names. It is parsed and not run, so
    its imports need not be installed.

    Args:
        text: Text of the config, as in ``meta['cfg']`` of a checkpoint.

    Returns:
        Values by name; anything but plain values is dropped from dictionaries and ``None`` in
        lists. ``None`` if the text is not Python.

    Example:
        >>> parse_config("import absent\\nmodel = dict(size=[0.1, -2])\\nf = print('no')")
        {'model': {'size': [0.1, -2]}}
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    values = {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            value = _value(statement.value)
            if value is not _NO_VALUE:
                values[statement.targets[0].id] = value
    return values


def _value(node: ast.AST) -> Any:
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_value(item) for item in node.elts]
        items = [None if item is _NO_VALUE else item for item in items]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.Dict):
        return _known({_value(key): item for key, item in zip(node.keys, node.values)
                       if isinstance(key, ast.Constant)})
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and \
            node.func.id == 'dict' and not node.args:
        return _known({keyword.arg: keyword.value for keyword in node.keywords if keyword.arg})
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):  # as Python writes them
        return float(node.id)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _NO_VALUE


def _known(nodes: dict[Any, ast.AST]) -> dict[Any, Any]:
    values = {key: _value(node) for key, node in nodes.items()}
    return {key: value for key, value in values.items() if value is not _NO_VALUE}
