"""Panoptic predictions in the form that the SemanticKITTI server takes."""
from __future__ import annotations

import os
from typing import Any, Sequence, Tuple

import numpy as np
from mmengine.registry import METRICS

from ..datasets.errors import DataLayoutError
from .submission import FLOAT_BYTES, SemanticKittiSubmission

LARGEST_ID = 2**16 - 1


@METRICS.register_module()
class SemanticKittiPanopticSubmission(SemanticKittiSubmission):
    """SemanticKITTI: ``sequences/NN/predictions/NNNNNN.label``, uint32, instance << 16 | raw label.

    Instances are 1, 2, ... within a scan, each of one class; 0 is none. The files are read again
    and checked. The server wants a zip of the folder ``sequences`` with all of 11 to 21.

    Args:
        out_dir: Folder that will hold ``sequences``.

    Raises:
        DataLayoutError: If a scan has more than 65,535 instances, or a file does not fit its scan.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the predictions of a batch.

        Args:
            data_batch: Not used.
            data_samples: As for semantic segmentation, with ``pts_instance_mask`` (N,) beside
                ``pts_semantic_mask`` in ``pred_pts_seg``.
        """
        for sample in data_samples:
            path = os.path.join(self.out_dir, self.file_of(sample['lidar_path']))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            found = sample['pred_pts_seg']
            write_panoptic(path, np.asarray(found['pts_semantic_mask'].cpu()),
                           np.asarray(found['pts_instance_mask'].cpu()), self.ids)
            self.results.append((path, sample['lidar_path']))

    def check_files(self, results: Sequence[Tuple[str, str]]) -> None:
        """Read the files again and compare them with their scans."""
        for path, scan in results:
            check_panoptic(path, os.path.getsize(scan) // (FLOAT_BYTES * self.lidar_dim), self.ids)


def write_panoptic(path: str, semantic: np.ndarray, instance: np.ndarray,
                   ids: Sequence[int]) -> None:
    """Write classes (N,) and instances (N,) of a scan.

    Args:
        path: The ``.label`` file.
        semantic: 0..C-1.
        instance: 0 is none.
        ids: The raw label of each class.

    Raises:
        DataLayoutError: If an instance does not fit into 16 bits.
    """
    if len(instance) and not 0 <= instance.min() <= instance.max() <= LARGEST_ID:
        raise DataLayoutError(
            f"prediction '{path}': expected instances from 0 to {LARGEST_ID}, found "
            f'{instance.min()} to {instance.max()}; raise min_points in test_cfg.')
    labels = np.asarray(ids, dtype=np.uint32)[semantic]
    (instance.astype(np.uint32) << 16 | labels).tofile(path)


def check_panoptic(path: str, num_points: int, ids: Sequence[int]) -> None:
    """Read a file of :func:`write_panoptic` again.

    Args:
        path: The ``.label`` file.
        num_points: Of its scan.
        ids: The raw labels that may occur.

    Raises:
        DataLayoutError: If it is too short or long, has another label, or an instance of two
            labels.
    """
    if os.path.getsize(path) != 4 * num_points:
        raise DataLayoutError(
            f"prediction '{path}': expected {num_points} labels, {4 * num_points} bytes, found "
            f'{os.path.getsize(path)} bytes; is the test pipeline dropping points?')
    pairs = np.unique(np.fromfile(path, dtype=np.uint32))
    wrong = np.setdiff1d(pairs & 0xFFFF, ids)
    if len(wrong):
        raise DataLayoutError(f"prediction '{path}': expected labels of {list(ids)}, found "
                              f'{wrong.tolist()}.')
    instances, labels = np.unique(pairs[pairs >> 16 > 0] >> 16, return_counts=True)
    if (labels > 1).any():
        raise DataLayoutError(f"prediction '{path}': expected one label for each instance, found "
                              f'several for {instances[labels > 1].tolist()}.')
