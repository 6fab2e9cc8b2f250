"""Overlays of the scan on the images during validation and testing."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...visualization.overlay import compare_sample


@HOOKS.register_module()
class OverlayHook(Hook):
    """Draw the scan into the images: before calibration, predicted, ground truth.

    The pictures go to the runner's visual back ends, and as ``<frame>_<camera>.png`` to a folder
    if one is given.

    Args:
        out_dir: Folder for the PNG files; made if it does not exist.
        max_frames: Frames to draw of each pass over the test or validation set, by each process.

    Raises:
        OSError: When a picture cannot be written.
    """

    def __init__(self, out_dir: Optional[str] = None, max_frames: int = 20) -> None:
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.max_frames = max_frames
        self._drawn = 0

    def _before_epoch(self, runner: Any, mode: str = 'train') -> None:
        self._drawn = 0

    def after_val_iter(self,
                       runner: Any,
                       batch_idx: int,
                       data_batch: Any = None,
                       outputs: Optional[Sequence[Any]] = None) -> None:
        """Draw the frames of a validation batch."""
        self._draw_batch(runner, data_batch, outputs, step=runner.iter)

    def after_test_iter(self,
                        runner: Any,
                        batch_idx: int,
                        data_batch: Any = None,
                        outputs: Optional[Sequence[Any]] = None) -> None:
        """Draw the frames of a test batch."""
        # runner.iter would build the training data, which a test need not have.
        self._draw_batch(runner, data_batch, outputs, step=0)

    def _draw_batch(self, runner: Any, data_batch: Any, outputs: Any, step: int) -> None:
        for points, imgs, sample in zip(data_batch['inputs']['points'],
                                        data_batch['inputs']['imgs'], outputs):
            if self._drawn >= self.max_frames:
                return
            self._drawn += 1
            for view, image in enumerate(imgs.permute(0, 2, 3, 1).cpu().numpy()):
                name = f'{sample.frame_id}_{sample.view_names[view]}'.replace('/', '_')
                picture = compare_sample(image, points, sample, view)
                runner.visualizer.add_image(name, picture, step=step)
                if self.out_dir is not None:
                    _write_png(self.out_dir / f'{name}.png', picture)


def _write_png(path: Path, picture: np.ndarray) -> None:
    import cv2
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1])):
        raise OSError(f'{path}: the picture could not be written; is the folder writable?')
