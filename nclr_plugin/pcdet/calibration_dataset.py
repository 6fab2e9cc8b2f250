"""OpenPCDet data set of scans, images and calibration."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from mmengine.registry import METRICS
from pcdet.datasets import DatasetTemplate
from torch.utils.data import get_worker_info

from ..datasets import CalibrationDataset
from ..structures import check_image_sizes
from .openpcdet import plain


class NCLRCalibrationDataset(DatasetTemplate):
    """:class:`~nclr_plugin.datasets.CalibrationDataset` with OpenPCDet's interface.

    ``DATA_PATH``, ``POINT_CLOUD_RANGE``, ``POINT_FEATURE_ENCODING`` and the voxel size of
    ``DATA_PROCESSOR`` are OpenPCDet's keys. OpenPCDet's augmentations support boxes, but neither
    images nor extrinsics. These keys replace them:

    - ``CALIBRATION.{train,test}``: arguments of ``CalibrationDataset``, including ``reader``;
    - ``TRANSFORMS.{train,test}``: transforms after the crop to ``POINT_CLOUD_RANGE`` and before
      packing. The crop is in the sensor frame, before the random rigid transform, so that it keeps
      the points in the camera's view;
    - ``METRICS``: names or configs of the metrics of :meth:`evaluation`.

    A batch has ``points`` (N, 1 + C) with the index of the scan in the first column,
    ``camera_imgs`` (V, 3, H, W) uint8 RGB with the views of all scans concatenated,
    ``data_samples`` (one ``CalibrationDataSample`` per scan), ``frame_id`` and ``batch_size``.
    """

    def __init__(self,
                 dataset_cfg: Any,
                 class_names: Sequence[str],
                 training: bool = True,
                 root_path: Path | None = None,
                 logger: Any = None) -> None:
        super().__init__(dataset_cfg, class_names, training, root_path, logger)
        encoding = self.point_feature_encoder
        if list(encoding.used_feature_list) != list(encoding.src_feature_list):
            raise ValueError(
                'NCLRCalibrationDataset: expected the same used_feature_list and src_feature_list '
                f'(the leading columns of a scan), found {encoding.used_feature_list} and '
                f'{encoding.src_feature_list}.')
        self.samples = CalibrationDataset(
            data_root=str(self.root_path),
            pipeline=[
                dict(type='LoadPoints', use_dim=encoding.num_point_features),
                dict(type='LoadImages'),
                dict(type='CropPoints', point_cloud_range=self.point_cloud_range.tolist()),
                *plain(dataset_cfg.TRANSFORMS[self.mode]),
                dict(type='PackCalibrationInputs'),
            ],
            test_mode=not training,
            **plain(dataset_cfg.CALIBRATION[self.mode]))
        self.metrics = [
            METRICS.build(dict(type=metric) if isinstance(metric, str) else metric)
            for metric in plain(dataset_cfg.METRICS)
        ]

    def __len__(self) -> int:
        passes = self.total_epochs if self._merge_all_iters_to_one_epoch else 1
        return len(self.samples) * passes

    def __getitem__(self, index: int) -> dict:
        if self.training:
            index += len(self.samples) * _epoch_seed()
        return self.samples[index]

    @staticmethod
    def collate_batch(batch_list: list[dict], _unused: bool = False) -> dict[str, Any]:
        """Collate samples into a batch; see the class for its entries."""
        inputs = [sample['inputs'] for sample in batch_list]
        data_samples = [sample['data_samples'] for sample in batch_list]
        check_image_sizes([scan['imgs'] for scan in inputs], data_samples)
        # The centre of the whole scan, where VoxelSample keeps a part of it.
        centres = [scan['scan_centre'] for scan in inputs if 'scan_centre' in scan]
        points = [np.pad(scan['points'].numpy(), ((0, 0), (1, 0)), constant_values=index)
                  for index, scan in enumerate(inputs)]
        return dict(
            points=np.concatenate(points),
            camera_imgs=torch.cat([scan['imgs'] for scan in inputs]),
            data_samples=data_samples,
            frame_id=np.array([sample.frame_id for sample in data_samples]),
            batch_size=len(batch_list),
            **(dict(scan_centre=torch.stack(centres)) if centres else {}))

    def generate_prediction_dicts(self,
                                  batch_dict: dict,
                                  pred_dicts: list[dict],
                                  class_names: Sequence[str],
                                  output_path: Path | None = None) -> list[dict]:
        """Return the metric records of each scan; OpenPCDet's test tool merges them over processes.

        Args:
            batch_dict: Not used.
            pred_dicts: One dict per scan; its ``data_sample`` has the predictions.
            class_names: Not used.
            output_path: Folder for the predicted ``lidar2cam``, one row of 16 numbers per view
                (``--save_to_file``).
        """
        annos = []
        for prediction in pred_dicts:
            sample = prediction['data_sample']
            if output_path is not None:
                name = sample.frame_id.replace('/', '_')
                np.savetxt(Path(output_path) / f'{name}.txt', sample.pred_lidar2cam.flatten(1))
            records = []
            for metric in self.metrics:
                metric.process(None, [sample.to_dict()])
                records.append(metric.results.pop())
            # OpenPCDet counts the detected objects by ``name``.
            annos.append(dict(frame_id=sample.frame_id, name=np.zeros(0), records=records))
        return annos

    def evaluation(self, det_annos: list[dict], class_names: Sequence[str],
                   **kwargs: Any) -> tuple[str, dict[str, float]]:
        """Compute the metrics over all scans; return them as text for the log and by name."""
        figures = {}
        for index, metric in enumerate(self.metrics):
            values = metric.compute_metrics([anno['records'][index] for anno in det_annos])
            figures.update({f'{metric.prefix}/{name}': value for name, value in values.items()})
        width = max(map(len, figures), default=0)
        lines = [f'{name:<{width}}  {value:.4f}' for name, value in figures.items()]
        return '\n'.join(['', *lines]), figures


def _epoch_seed() -> int:
    """Return a seed that differs for each pass over a ``DataLoader`` and depends on torch's seed.

    OpenPCDet does not pass the epoch to its data sets. With ``--fix_random_seed``, it also seeds
    the workers alike in each epoch. But torch samples a new ``worker.seed`` for each pass.
    """
    worker = get_worker_info()
    return int(torch.randint(2**31, ())) if worker is None else worker.seed - worker.id
