"""Check OpenPCDet's ``--pretrained_model`` before training starts."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from ..checkpoints import PretrainedWeightsError, read_state_dict
from ..checkpoints.kernels import fit_to_shape
from ..checkpoints.names import TORCHSPARSE, looks_like
from ..checkpoints.voxels import Voxels, warn_of_difference

PREFIX = 'backbone_3d.'
ENCODERS = ('VoxelBackBone8x', 'VoxelResBackBone8x')


def check_pretrained_model(checkpoint: str, config: Any) -> None:
    """Refuse a file that does not fill the sparse encoder; warn if its voxels differ.

    OpenPCDet itself loads only the tensors with matching names and shapes, and trains even if there
    are none.

    Args:
        checkpoint: Path of the file.
        config: OpenPCDet's config with its bases expanded. Detectors with another ``BACKBONE_3D``
            or without one are not checked.

    Raises:
        FileNotFoundError: If the file does not exist.
        BrokenCheckpointError: If torch cannot read the file.
        PretrainedWeightsError: If the file lacks tensors of the encoder, or has other shapes.
    """
    if (config['MODEL'].get('BACKBONE_3D') or {}).get('NAME') not in ENCODERS:
        return
    state = read_encoder(checkpoint)
    data = config['DATA_CONFIG']
    voxels = Voxels(next(step['VOXEL_SIZE'] for step in data['DATA_PROCESSOR']
                         if 'VOXEL_SIZE' in step), data['POINT_CLOUD_RANGE'])
    require_shapes(checkpoint, state, _build_encoder(config, voxels))
    warn_of_difference(checkpoint, voxels)


def read_encoder(checkpoint: str) -> dict[str, Tensor]:
    """Read the tensors that OpenPCDet would load into the encoder, ``backbone_3d.*``.

    Raises:
        PretrainedWeightsError: If there are none, or not where OpenPCDet looks; see also
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
        found: Tensors of the file. Kernels of spconv 1 fit, too: OpenPCDet permutes them.
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


def _build_encoder(config: Any, voxels: Voxels) -> dict[str, Tensor]:
    """Return the tensors of the encoder that OpenPCDet builds from a config."""
    from pcdet.models.detectors import Detector3DTemplate
    data = config['DATA_CONFIG']
    limits = np.array(voxels.range, np.float32)
    features = data['POINT_FEATURE_ENCODING']['used_feature_list']
    detector = Detector3DTemplate(config['MODEL'], len(config['CLASS_NAMES']), SimpleNamespace(
        class_names=config['CLASS_NAMES'],
        point_feature_encoder=SimpleNamespace(num_point_features=len(features)),
        point_cloud_range=limits,
        voxel_size=voxels.size,
        grid_size=np.round((limits[3:] - limits[:3]) / np.array(voxels.size)).astype(np.int64),
        depth_downsample_factor=None))
    detector.module_topology = ['vfe', 'backbone_3d']
    detector.build_networks()
    return {name: tensor for name, tensor in detector.state_dict().items()
            if name.startswith(PREFIX)}
