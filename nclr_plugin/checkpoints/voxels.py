"""Whether a detector's voxels are those that its encoder was pretrained on."""
from __future__ import annotations

import logging
from typing import NamedTuple, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn


class Voxels(NamedTuple):
    """Voxel size (x, y, z) and range (x, y, z at least, x, y, z at most) of a network, metres."""
    size: Tuple[float, ...]
    range: Optional[Tuple[float, ...]]


def warn_of_other_voxels(detector: nn.Module, checkpoint: str) -> None:
    """Warn, with both values, if an encoder was pretrained on other voxels or heights.

    An encoder's weights fit any voxel size and range, but mean something for one size only, and
    its last layers for one range of heights. On the ground plane it is the same everywhere, so
    that the detectors' range ahead and one to all sides do not contradict each other.

    Args:
        detector: Of mmdet3d, with a voxelising data preprocessor; others are left alone.
        checkpoint: Of mmengine. Files without a config, such as OpenPCDet's, tell no voxels.
    """
    layer = getattr(getattr(detector, 'data_preprocessor', None), 'voxel_layer', None)
    if layer is None:
        return
    own = Voxels(_numbers(layer.voxel_size), _numbers(layer.point_cloud_range))
    trained = voxels_of_checkpoint(checkpoint)
    if trained is None:
        print_log(f"{checkpoint} does not tell which voxels it was trained on; this detector's are "
                  f'{own.size} m in the range {own.range}.', 'current')
        return
    if not _close(trained.size, own.size):
        print_log(f'{checkpoint} was trained on voxels of {trained.size} m, this detector has '
                  f'voxels of {own.size} m: pretrain with those, by '
                  'model.data_preprocessor.voxel_size.', 'current', logging.WARNING)
    if trained.range and not _close(trained.range[2::3], own.range[2::3]):
        print_log(f'{checkpoint} was trained on the range {trained.range}, this detector has '
                  f'{own.range}, from another height or up to another: pretrain with its heights, '
                  "by RangeCrop's point_cloud_range.", 'current', logging.WARNING)


def voxels_of_checkpoint(checkpoint: str) -> Optional[Voxels]:
    """Read from the config in a checkpoint's ``meta`` what it was trained on; ``None``: no word.

    Args:
        checkpoint: Of an NCLR run or a voxel-based network of mmdet3d.
    """
    text = config_of_checkpoint(checkpoint)
    if text is None:
        return None
    config = Config.fromstring(text, '.py')
    preprocessor = config.get('model', {}).get('data_preprocessor') or {}
    layer = preprocessor.get('voxel_layer', preprocessor)
    if 'voxel_size' not in layer:
        return None
    limits = layer.get('point_cloud_range')
    dataset = config.get('train_dataloader', {}).get('dataset', {})
    for step in dataset.get('pipeline', []):
        if step['type'] == 'RangeCrop':
            limits = step['point_cloud_range']
    return Voxels(_numbers(layer['voxel_size']), limits and _numbers(limits))


def config_of_checkpoint(checkpoint: str) -> Optional[str]:
    """The text of the config that mmengine keeps in a checkpoint; ``None`` where there is none.

    Args:
        checkpoint: A file or URL that mmengine's loader knows.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    meta = content.get('meta') if isinstance(content, dict) else None
    text = meta.get('cfg') if isinstance(meta, dict) else None
    return text if isinstance(text, str) else None


def _numbers(values: Sequence[float]) -> Tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


def _close(first: Sequence[float], second: Sequence[float]) -> bool:
    return len(first) == len(second) and all(abs(a - b) < 1e-4 for a, b in zip(first, second))
