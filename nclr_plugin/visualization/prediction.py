"""Predictions of mmdet3d's segmentors and detectors, beside the truth."""
from __future__ import annotations

from typing import Any, Iterator, Sequence

import numpy as np
from torch import Tensor

from .box_map import Boxes, draw_boxes_birds_eye, draw_boxes_image
from .panoptic_map import (
    Panoptic,
    Vocabulary,
    draw_panoptic_birds_eye,
    draw_panoptic_image,
    instance_colours,
)

MIN_SCORE = 0.3  # minimum score of a drawn box


def draw_prediction(points: Tensor, sample: Any, views: Sequence[dict], metainfo: dict,
                    thing_classes: Sequence[int] | None = None
                    ) -> Iterator[tuple[str, str, np.ndarray]]:
    """Draw the classes, instances or boxes of a scan, from above and on its images.

    Args:
        points: (N, 3+), LiDAR frame, metres.
        sample: mmdet3d's data sample with ``pred_pts_seg`` or ``pred_instances_3d``, and the truth
            in ``eval_ann_info`` where it is known.
        views: Result of :func:`~nclr_plugin.datasets.views.load_views`.
        metainfo: Metainfo of the data set: ``classes``, and ``palette`` where it has one.
        thing_classes: Classes that have instances; ``None``: all.

    Yields:
        Kind of the picture (``birds_eye``, ``camera``), name of the camera or an empty text, and
        the RGB picture, uint8. Nothing for a sample without predictions.
    """
    names = metainfo['classes']
    palette = np.array(metainfo.get('palette') or _palette(len(names)), np.uint8)
    truth = getattr(sample, 'eval_ann_info', None) or {}
    if 'pred_pts_seg' in sample:
        things = range(len(names)) if thing_classes is None else thing_classes
        labels = (_labels(sample.pred_pts_seg), _labels(truth))
        vocabulary = Vocabulary(names, palette, things)
        if labels[1] is not None and labels[0].instance is None:
            labels = (labels[0], Panoptic(labels[1].semantic))
        yield 'birds_eye', '', draw_panoptic_birds_eye(points, *labels, vocabulary)
        for view in views:
            yield 'camera', view['name'], draw_panoptic_image(
                view['image'], view['lidar2cam'], view['cam2img'], points, *labels, vocabulary)
    elif 'pred_instances_3d' in sample:
        boxes = (_boxes(sample.pred_instances_3d), _true_boxes(truth))
        yield 'birds_eye', '', draw_boxes_birds_eye(points, *boxes, names, palette)
        for view in views:
            yield 'camera', view['name'], draw_boxes_image(
                view['image'], view['lidar2cam'], view['cam2img'], points, *boxes, names, palette)


def _labels(labels: Any) -> Panoptic | None:
    if 'pts_semantic_mask' not in labels:
        return None
    instance = labels['pts_instance_mask'] if 'pts_instance_mask' in labels else None
    return Panoptic(_array(labels['pts_semantic_mask']),
                    None if instance is None else _array(instance))


def _boxes(found: Any) -> Boxes:
    certain = (found.scores_3d >= MIN_SCORE).cpu()
    return Boxes(_array(found.bboxes_3d.corners)[certain.numpy()],
                 _array(found.labels_3d)[certain.numpy()])


def _true_boxes(truth: dict) -> Boxes | None:
    if 'gt_bboxes_3d' not in truth:
        return None
    return Boxes(_array(truth['gt_bboxes_3d'].corners).reshape(-1, 8, 3),
                 _array(truth['gt_labels_3d']))


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _palette(count: int) -> list[tuple[int, int, int]]:
    return [tuple(colour) for colour in instance_colours(np.arange(1, count + 1))]
