"""Pictures of inputs and predictions, during validation and testing."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...datasets.scan_images import load_scan_images, scan_name
from ...structures import inspection
from ...visualization import PICTURES, plot_recall, plot_roc
from ...visualization.canvas import write_png
from ...visualization.prediction import draw_prediction
from ..runner import unwrapped_model

# Kind and function by the attribute of the metric that has them.
CURVES = dict(curves=('recall_curves', plot_recall), roc=('roc_curves', plot_roc))
SCENES = ('birds_eye', 'camera')  # of mmdet3d's segmentors and detectors
RANKED = 'ranked'  # overlays of the best, the median and the worst frame
OVERLAY = 'overlay'


@HOOKS.register_module()
class PictureHook(Hook):
    """Draw frames, curves of metrics, and the best, the median and the worst frame of a test.

    The last three frames are ranked by :class:`~nclr_plugin.evaluation.CalibrationMetric`. For
    mmdet3d's segmentors and detectors the hook draws predicted and true classes, instances or
    boxes, from above and on the images of the scan: ``birds_eye/<scan>.png`` and
    ``camera/<scan>_<camera>.png``.

    The pictures are written as ``<kind>/<frame>_<camera>.png`` if a folder is given; without one
    the visual back ends of the runner get them. Kinds that the network does not predict, and frames
    of the mismatched-image control, are skipped.

    Args:
        out_dir: Folder for the PNG files; created if it does not exist. ``None``: the visual back
            ends.
        max_frames: Number of frames to draw in each pass over the test or validation set, per
            process.
        kinds: Kinds of pictures: of ``nclr_plugin.visualization.PICTURES``, ``'recall_curves'``,
            ``'roc_curves'``, ``'ranked'``, ``'birds_eye'`` and ``'camera'``; None draws all.

    Raises:
        ValueError: If a kind is unknown.
        OSError: If a picture cannot be written.
    """

    def __init__(self,
                 out_dir: str | None = None,
                 max_frames: int = 20,
                 kinds: Sequence[str] | None = None) -> None:
        known = [*PICTURES, *(kind for kind, _ in CURVES.values()), RANKED, *SCENES]
        unknown = sorted(set(kinds or ()) - set(known))
        if unknown:
            raise ValueError(f'PictureHook: kinds: expected some of {known}, found {unknown}.')
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.max_frames = max_frames
        self.kinds = known if kinds is None else list(kinds)
        self._drawn = 0

    def _before_epoch(self, runner: Any, mode: str = 'train') -> None:
        self._drawn = 0

    def _after_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                    outputs: Any = None, mode: str = 'train') -> None:
        if mode != 'train':
            # runner.iter would build the training data, which a test need not have.
            step = 0 if mode == 'test' else runner.iter
            inputs = data_batch['inputs']
            if isinstance(inputs, dict) and 'imgs' in inputs:
                self._draw_batch(runner, data_batch, outputs, step)
            else:
                loader = runner.val_dataloader if mode == 'val' else runner.test_dataloader
                self._draw_scenes(runner, loader.dataset.metainfo, inputs, outputs, step)

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Draw the curves of a validation."""
        self._draw_curves(runner, runner.val_loop.evaluator, step=runner.iter)

    def after_test_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Draw the curves of a test, and its best, median and worst frame."""
        self._draw_curves(runner, runner.test_loop.evaluator, step=0)
        self._draw_ranked(runner, runner.test_loop)

    def _draw_batch(self, runner: Any, data_batch: Any, outputs: Any, step: int) -> None:
        for points, imgs, sample in zip(data_batch['inputs']['points'],
                                        data_batch['inputs']['imgs'], outputs):
            if self._drawn >= self.max_frames:
                return
            if sample.get('mismatched_image', False):
                continue
            self._drawn += 1
            if set(self.kinds) & set(PICTURES) - {OVERLAY}:  # an overlay needs the poses alone
                for name, value in inspection(sample).items():
                    sample.set_field(value, name)
            for view, image in enumerate(imgs.permute(0, 2, 3, 1).cpu().numpy()):
                for kind, draw in PICTURES.items():
                    picture = draw(image, points, sample, view) if kind in self.kinds else None
                    if picture is not None:
                        self._add(runner, kind, _view_name(sample, view), picture, step)

    def _draw_scenes(self, runner: Any, metainfo: dict, inputs: Any, outputs: Any,
                     step: int) -> None:
        offset_head = getattr(unwrapped_model(runner), 'offset_head', None)
        for place, sample in enumerate(outputs):
            if self._drawn >= self.max_frames or 'lidar_path' not in sample:
                return
            self._drawn += 1
            # With test-time augmentation, inputs are a list of rotated and flipped scans.
            points = inputs['points'][place] if isinstance(inputs, dict) else _read_scan(sample)
            for kind, camera, picture in draw_prediction(
                    points, sample, load_scan_images(sample.metainfo), metainfo,
                    getattr(offset_head, 'thing_classes', None)):
                if kind in self.kinds:
                    name = scan_name(sample.lidar_path) + (camera and f'_{camera}')
                    self._add(runner, kind, name, picture, step)

    def _draw_ranked(self, runner: Any, loop: Any) -> None:
        # These frames are known only after the test, so they are predicted once more.
        if RANKED not in self.kinds or not is_main_process():
            return
        for metric in loop.evaluator.metrics:
            for rank, index in getattr(metric, 'ranked', {}).items():
                batch = pseudo_collate([loop.dataloader.dataset[index]])
                # Not through the distributed wrapper: only this process predicts here.
                model = unwrapped_model(runner)
                with torch.no_grad():
                    sample, = model.test_step(batch)
                points, = batch['inputs']['points']
                imgs, = batch['inputs']['imgs']
                for view, image in enumerate(imgs.permute(0, 2, 3, 1).cpu().numpy()):
                    self._add(runner, RANKED, f'{rank}_{_view_name(sample, view)}',
                              PICTURES[OVERLAY](image, points, sample, view), step=0)

    def _draw_curves(self, runner: Any, evaluator: Any, step: int) -> None:
        if not is_main_process():
            return
        for metric in evaluator.metrics:
            for attribute, (kind, draw) in CURVES.items():
                curves = getattr(metric, attribute, None)
                if curves and kind in self.kinds:
                    self._add(runner, kind, metric.prefix, draw(curves), step)

    def _add(self, runner: Any, kind: str, name: str, picture: np.ndarray, step: int) -> None:
        if self.out_dir is not None:  # as mmdet3d does: encoding a picture for each place is slow
            write_png(self.out_dir / kind / f'{name}.png', picture)
        else:  # no slash: a visual back end may take it for a folder that does not exist
            runner.visualizer.add_image(f'{kind}_{name}', picture, step=step)


def _view_name(sample: Any, view: int) -> str:
    return f'{sample.frame_id}_{sample.view_names[view]}'.replace('/', '_')


def _read_scan(sample: Any) -> torch.Tensor:
    """Read the rows (N, D) float32 of a scan file."""
    values = np.fromfile(sample.lidar_path, np.float32)
    rows = len(sample.pred_pts_seg.pts_semantic_mask) if 'pred_pts_seg' in sample else \
        len(values) // sample.num_pts_feats
    return torch.from_numpy(values.reshape(rows, -1))
