"""NCLR pretraining as an OpenPCDet detector."""
from __future__ import annotations

from typing import Any, Sequence

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.registry import MODELS
from pcdet.models.detectors import Detector3DTemplate
from torch import Tensor

from ..checkpoints.voxels import Voxels
from .openpcdet import plain
from .networks import LooseParameters  # also registers the networks that YAML names


class NCLRPretrain(Detector3DTemplate):
    """:class:`~nclr_plugin.models.pretrainers.NCLR` around OpenPCDet's own sparse encoder.

    OpenPCDet builds and names the encoder, ``BACKBONE_3D``. So a pretraining checkpoint works
    unchanged as ``--pretrained_model`` of SECOND or PV-RCNN: the encoder's keys are
    ``backbone_3d.*``. The other keys are ``nclr.*``, and ``voxel_size`` and ``point_cloud_range``,
    which record the voxels of the training.

    Keys of ``MODEL``:

    - ``BACKBONE_3D.NAME``: ``VoxelBackBone8x``.
    - ``NCLR``: arguments of ``NCLR``; ``point_backbone`` has the arguments of
      :class:`~nclr_plugin.pcdet.networks.SplitVoxelBackBone8x`. The voxel size comes from the data
      set.
    """

    def __init__(self, model_cfg: Any, num_class: int, dataset: Any) -> None:
        super().__init__(model_cfg=model_cfg, num_class=num_class, dataset=dataset)
        self.module_topology = ['backbone_3d']
        self.build_networks()
        config = plain(model_cfg.NCLR)
        config['point_backbone'] = dict(
            type='SplitVoxelBackBone8x',
            encoder=self.backbone_3d,
            in_channels=dataset.point_feature_encoder.num_point_features,
            **config.get('point_backbone', {}))
        config['data_preprocessor'] = dict(
            type='CalibrationDataPreprocessor',
            voxel_size=list(dataset.voxel_size),
            **config.get('data_preprocessor', {}))
        self.nclr = MODELS.build(dict(type='NCLR', **config))
        if dataset.training:
            self.nclr.init_weights()
        self.loose_parameters = LooseParameters(self.nclr)
        self._voxels = Voxels(dataset.voxel_size, dataset.point_cloud_range).tensors()
        for name, tensor in self._voxels.items():
            self.register_buffer(name, tensor)
        self._reported: set[tuple[str, str]] = set()

    def forward(self, batch_dict: dict[str, Any]) -> tuple[Any, ...]:
        """Compute the losses in training, the predictions otherwise.

        Args:
            batch_dict: See :class:`~nclr_plugin.pcdet.calibration_dataset.NCLRCalibrationDataset`.

        Returns:
            tuple: In training, ``dict(loss=...)`` and the values that OpenPCDet logs. Otherwise,
            one ``dict(data_sample=...)`` per scan with the predictions, and an empty box recall.

        Raises:
            FloatingPointError: In training, in all processes, if a loss of one is not finite.
                OpenPCDet itself would take the step and destroy the weights.
        """
        data = self._preprocess(batch_dict)
        if not self.training:
            samples = self.nclr(**data, mode='predict')
            return [dict(data_sample=sample) for sample in samples], {}
        self._report_skipped(batch_dict['data_samples'])
        loss, losses = self.nclr.parse_losses(self.nclr(**data, mode='loss'))
        del losses['loss']  # OpenPCDet logs it by itself
        self._refuse_non_finite(loss, losses, batch_dict['frame_id'])
        values = torch.stack([value.float() for value in losses.values()]).tolist()
        return dict(loss=loss), dict(zip(losses, values)), {}

    @staticmethod
    def _refuse_non_finite(loss: Tensor, losses: dict[str, Tensor],
                           frames: Sequence[str]) -> None:
        """Raise in all processes if a loss of one is not finite; the others would wait for it."""
        finite = torch.isfinite(loss.detach()).float()
        all_reduce(finite, 'min')
        if finite:
            return
        bad = [name for name, value in losses.items() if not torch.isfinite(value)]
        culprit = not torch.isfinite(loss)
        found = [one for one in all_gather_object((culprit, bad, list(frames))) if one[0]]
        names = sorted({name for _, bad, _ in found for name in bad})
        frames = [frame for _, _, frames in found for frame in frames]
        raise FloatingPointError(
            f'{", ".join(names) or "the loss"} is not finite, frames {", ".join(frames)}: look at '
            'these, lower OPTIMIZATION.LR, and start again; OpenPCDet resumes its last '
            'checkpoint.')

    def _preprocess(self, batch_dict: dict[str, Any]) -> dict[str, Any]:
        """Convert a batch of OpenPCDet to a batch of the pretrainer."""
        points, samples = batch_dict['points'], batch_dict['data_samples']
        scan = points[:, 0].long()
        views = [len(sample.cam2img) for sample in samples]
        inputs = dict(points=[points[scan == number, 1:] for number in range(len(samples))],
                      imgs=list(batch_dict['camera_imgs'].split(views)))
        if 'scan_centre' in batch_dict:
            inputs['scan_centre'] = list(batch_dict['scan_centre'])
        preprocessor = self.nclr.data_preprocessor
        preprocessor.to(points.device)  # OpenPCDet's .cuda() does not update its device
        return preprocessor(dict(inputs=inputs, data_samples=samples), self.training)

    def _report_skipped(self, samples: list[Any]) -> None:
        """Log each broken frame once."""
        for frame in (frame for sample in samples for frame in sample.skipped_frames):
            if frame not in self._reported:
                self._reported.add(frame)
                self.dataset.logger.warning('Skipped frame %s: %s', *frame)

    def _load_state_dict(self, model_state_disk: dict[str, Tensor], *,
                         strict: bool = True) -> tuple[dict, dict]:
        """Load as OpenPCDet does, but refuse a file without any match; keep this run's voxels."""
        state_dict, updated = super()._load_state_dict(
            {**model_state_disk, **self._voxels}, strict=strict)
        if not updated.keys() - self._voxels.keys():
            raise ValueError(
                'The checkpoint has none of the tensors of NCLRPretrain: expected names such as '
                f'{next(iter(state_dict))}, found {next(iter(model_state_disk), "an empty file")}.')
        return state_dict, updated
