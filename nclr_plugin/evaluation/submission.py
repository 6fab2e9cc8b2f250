"""Prediction files for the servers of segmentation benchmarks."""
from __future__ import annotations

import json
import logging
import os
from abc import abstractmethod
from collections import Counter
from pathlib import PurePath
from typing import Any, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from ..datasets.scan_files import FLOAT_BYTES
from ..errors import DataLayoutError, reading

LARGEST_INSTANCE = 2**16 - 1
# Raw labels of mmdet3d's 19 classes of SemanticKITTI.
SEMANTICKITTI_IDS = (10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81)
NUSCENES_IDS = tuple(range(1, 17))  # the challenge's 16 classes; 0 must not be predicted
# Number of scans of each test sequence; the server expects all of them.
SEMANTICKITTI_SCANS = {'11': 921, '12': 1061, '13': 3281, '14': 631, '15': 1901, '16': 1731,
                       '17': 491, '18': 1801, '19': 4981, '20': 831, '21': 2721}
NUSCENES_META = dict(use_camera=False, use_lidar=True, use_radar=False, use_map=False,
                     use_external=False)


class SubmissionMetric(BaseMetric):
    """Write a label file for each scan, then read all files again and check them.

    It takes the place of a metric for test sets without ground truth. Each process writes the files
    of its own scans.

    Args:
        out_dir: Folder of the submission; existing files are overwritten.
        kwargs: Arguments of mmengine's ``BaseMetric``.

    Attributes:
        ids: Label of each class in the files.
        dtype: NumPy name of the type of a label.
        lidar_dim: Number of float32 values per point of a scan, for the check.

    Raises:
        DataLayoutError: If a file does not fit its scan or contains an unknown label.
    """
    ids: tuple[int, ...] = ()
    dtype = ''
    lidar_dim = 0

    def __init__(self, out_dir: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.out_dir = out_dir

    def shortage(self, results: Sequence[tuple[str, str]]) -> tuple[int, str]:
        """Compare the scans with those that the server expects.

        Args:
            results: Pairs of label file and scan.

        Returns:
            Number of missing scans, and a description of them.
        """
        return 0, ''

    @abstractmethod
    def file_of(self, lidar_path: str) -> str:
        """Return the file for a scan, relative to ``out_dir``."""

    def labels(self, prediction: dict[str, Any], path: str) -> np.ndarray:
        """Return the labels (N,) of a prediction, for a file."""
        return np.array(self.ids, self.dtype)[prediction['pts_semantic_mask'].cpu().numpy()]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the predictions of a batch.

        Args:
            data_batch: Not used.
            data_samples: mmdet3d's data samples as dicts, with ``lidar_path`` and
                ``pred_pts_seg['pts_semantic_mask']`` (N,), a class for each point of the scan.
        """
        for sample in data_samples:
            path = os.path.join(self.out_dir, self.file_of(sample['lidar_path']))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self.labels(sample['pred_pts_seg'], path).tofile(path)
            self.results.append((path, sample['lidar_path']))

    def compute_metrics(self, results: list[tuple[str, str]]) -> dict[str, float]:
        """Check the files of all processes, and their number.

        Returns:
            Number of ``scans``, and number of ``missing`` scans that the server expects too.
        """
        for path, scan in results:
            self.check_labels(path, self._read(path, scan))
        print_log(f'{self.out_dir}: checked the predictions of {len(results)} scans.',
                  logger='current')
        missing, description = self.shortage(results)
        if missing:
            warn_incomplete(self.out_dir, f'{missing} scans are missing: {description}')
        return dict(scans=float(len(results)), missing=float(missing))

    def _read(self, path: str, scan: str) -> np.ndarray:
        """Read a file of labels, as many as the scan has points."""
        if not os.path.isfile(path):
            raise DataLayoutError(f"prediction '{path}': expected a file, found none.")
        points = os.path.getsize(scan) // (FLOAT_BYTES * self.lidar_dim)
        size, found = points * np.dtype(self.dtype).itemsize, os.path.getsize(path)
        if found != size:
            raise DataLayoutError(f"prediction '{path}': expected {points} labels, {size} bytes, "
                                  f"for the points of '{scan}', found {found} bytes; does the test "
                                  'pipeline drop points?')
        return np.fromfile(path, dtype=self.dtype)

    def check_labels(self, path: str, labels: np.ndarray) -> None:
        """Raise if the labels of a file are not of :attr:`ids`."""
        wrong = np.setdiff1d(labels, self.ids)
        if len(wrong):
            raise DataLayoutError(f"prediction '{path}': expected labels of {list(self.ids)}, "
                                  f'found {wrong.tolist()}.')


@METRICS.register_module()
class SemanticKittiSubmission(SubmissionMetric):
    """Write ``sequences/NN/predictions/NNNNNN.label`` of SemanticKITTI, uint32 raw labels.

    The server expects a zip of the folder ``sequences`` with all of 11 to 21.

    Args:
        out_dir: Folder that will hold ``sequences``.
    """
    ids = SEMANTICKITTI_IDS
    dtype = 'uint32'
    lidar_dim = 4

    def file_of(self, lidar_path: str) -> str:
        """Return the file for ``.../sequences/NN/velodyne/NNNNNN.bin``."""
        path = PurePath(lidar_path)
        return os.path.join('sequences', path.parts[-3], 'predictions', f'{path.stem}.label')

    def shortage(self, results: Sequence[tuple[str, str]]) -> tuple[int, str]:
        """Count the missing scans of the test sequences."""
        counts = Counter(PurePath(scan).parts[-3] for scan in {scan for _, scan in results})
        incomplete = {sequence: (counts[sequence], expected)
                      for sequence, expected in SEMANTICKITTI_SCANS.items()
                      if counts[sequence] < expected}
        description = ', '.join(f'{sequence} has {count} of {expected}'
                                for sequence, (count, expected) in incomplete.items())
        return sum(expected - count for count, expected in incomplete.values()), description


@METRICS.register_module()
class NuScenesSubmission(SubmissionMetric):
    """Write ``lidarseg/test/TOKEN_lidarseg.bin`` of nuScenes, uint8, and ``test/submission.json``.

    Args:
        out_dir: Folder that will hold ``lidarseg`` and ``test``; the server expects a zip of both.
        data_root: Root folder of nuScenes; its tables have the token of each scan.
        version: Folder of the tables, below ``data_root``.
        eval_set: Name of the split; other than ``'test'`` for a trial run.

    Raises:
        FileNotFoundError: If there is no table ``sample_data``.
    """
    ids = NUSCENES_IDS
    dtype = 'uint8'
    lidar_dim = 5

    def __init__(self, out_dir: str, data_root: str, version: str = 'v1.0-test',
                 eval_set: str = 'test', **kwargs: Any) -> None:
        super().__init__(out_dir, **kwargs)
        self.eval_set = eval_set
        table = os.path.join(data_root, version, 'sample_data.json')
        if not os.path.isfile(table):
            raise FileNotFoundError(f"'{table}': expected the nuScenes table with the token "
                                    'of each scan, found no file; set data_root and version.')
        with open(table) as file, reading(table, 'a nuScenes table'):
            self.tokens = {PurePath(row['filename']).name: row['token'] for row in json.load(file)
                           if row['is_key_frame'] and 'LIDAR_TOP' in row['filename']}

    def file_of(self, lidar_path: str) -> str:
        """Return the file for ``.../samples/LIDAR_TOP/NAME.pcd.bin``."""
        name = PurePath(lidar_path).name
        if name not in self.tokens:
            raise DataLayoutError(f"scan '{lidar_path}': expected a key frame of the table "
                                  'sample_data, found no such frame; set version to that of '
                                  'the info file.')
        return os.path.join('lidarseg', self.eval_set, f'{self.tokens[name]}_lidarseg.bin')

    def shortage(self, results: Sequence[tuple[str, str]]) -> tuple[int, str]:
        """Count the missing key frames; a trial run is never incomplete."""
        if self.eval_set != 'test':
            return 0, ''
        absent = sorted(set(self.tokens) - {PurePath(scan).name for _, scan in results})
        return len(absent), f'of {len(self.tokens)} key frames, such as {absent[:1]}'

    def compute_metrics(self, results: list[tuple[str, str]]) -> dict[str, float]:
        """Write ``submission.json`` and check the files."""
        folder = os.path.join(self.out_dir, self.eval_set)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, 'submission.json'), 'w') as file:
            json.dump(dict(meta=NUSCENES_META), file)
        return super().compute_metrics(results)


@METRICS.register_module()
class SemanticKittiPanopticSubmission(SemanticKittiSubmission):
    """Write ``sequences/NN/predictions/NNNNNN.label``, uint32, instance << 16 | raw label.

    Instances are 1, 2, ... within a scan, each of one class; 0 means no instance. The server
    expects a zip of the folder ``sequences`` with all of 11 to 21.

    Args:
        out_dir: Folder that will hold ``sequences``.

    Raises:
        DataLayoutError: If a scan has more than 65,535 instances, or a file does not fit its scan.
    """

    def labels(self, prediction: dict[str, Any], path: str) -> np.ndarray:
        """Return the labels; the prediction has ``pts_instance_mask`` (N,), too."""
        instance = prediction['pts_instance_mask'].cpu().numpy()
        if len(instance) and not 0 <= instance.min() <= instance.max() <= LARGEST_INSTANCE:
            raise DataLayoutError(
                f"prediction '{path}': expected instances from 0 to {LARGEST_INSTANCE}, found "
                f'{instance.min()} to {instance.max()}; raise min_points in test_cfg.')
        return instance.astype(np.uint32) << 16 | super().labels(prediction, path)

    def check_labels(self, path: str, labels: np.ndarray) -> None:
        """Raise if raw labels are unknown, or an instance has several."""
        pairs = np.unique(labels)
        super().check_labels(path, pairs & 0xFFFF)
        instances, counts = np.unique(pairs[pairs >> 16 > 0] >> 16, return_counts=True)
        if (counts > 1).any():
            raise DataLayoutError(f"prediction '{path}': expected one label for each instance, "
                                  f'found several for {instances[counts > 1].tolist()}.')


def warn_incomplete(out_dir: str, missing: str) -> None:
    """Warn that a submission is incomplete, and say what is missing."""
    print_log(f'{out_dir}: the submission is incomplete, so the server will refuse it: {missing}; '
              'write the infos of the whole test set and predict again.',
              logger='current', level=logging.WARNING)
