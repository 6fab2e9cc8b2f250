"""Prediction files for the server of KITTI's 3D detection benchmark."""
from __future__ import annotations

import os
from typing import Any

from mmdet3d.evaluation import KittiMetric
from mmengine.logging import print_log

from ..errors import DataLayoutError
from .submission import warn_incomplete

NUM_FRAMES = 7518  # of KITTI's test set; the server expects a file for each
NUM_FIELDS = 16  # class, truncation, occlusion, alpha, 4 of the image box, 7 of the box, score


class KittiSubmission(KittiMetric):
    """Write ``pred_instances_3d/NNNNNN.txt`` of KITTI, then read all files again and check them.

    The server expects a zip of the files of all 7518 test frames, those without objects included.

    Args:
        out_dir: Folder of the submission; existing files are overwritten.
        ann_file: Info file of the test frames.
        kwargs: Arguments of mmdet3d's ``KittiMetric``.

    Raises:
        DataLayoutError: If a file is absent or has a line of other fields.
    """

    def __init__(self, out_dir: str, ann_file: str, **kwargs: Any) -> None:
        super().__init__(ann_file, metric='bbox', format_only=True, submission_prefix=out_dir,
                         **kwargs)
        self.out_dir = out_dir

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Write the files of all processes, check them, and count them.

        Returns:
            ``frames``, the number of frames, and ``missing``, the number that the server expects
            beyond these.
        """
        super().compute_metrics(results)
        frames = sorted({int(result['sample_idx']) for result in results})
        for frame in frames:
            check_boxes(os.path.join(self.out_dir, 'pred_instances_3d', f'{frame:06d}.txt'))
        print_log(f'{self.out_dir}: checked the predictions of {len(frames)} frames.',
                  logger='current')
        missing = sorted(set(range(NUM_FRAMES)) - set(frames))
        if missing:
            warn_incomplete(self.out_dir, f'{len(missing)} of {NUM_FRAMES} frames are missing, '
                            f'such as {missing[0]:06d}')
        return dict(frames=float(len(frames)), missing=float(len(missing)))


def check_boxes(path: str) -> None:
    """Check a file of predicted boxes.

    Raises:
        DataLayoutError: If it is absent, or a line is not a class and 15 numbers.
    """
    if not os.path.isfile(path):
        raise DataLayoutError(f"prediction '{path}': expected a file, found none.")
    with open(path) as file:
        for number, line in enumerate(file, 1):
            fields = line.split()
            try:
                valid = len(fields) == NUM_FIELDS and all(
                    abs(float(field)) < float('inf') for field in fields[1:])
            except ValueError:
                valid = False
            if not valid:
                raise DataLayoutError(f"prediction '{path}', line {number}: expected a class and "
                                      f"{NUM_FIELDS - 1} finite numbers, found '{line.strip()}'.")
