"""Predictions of mmdet3d's segmentors and detectors, beside the truth."""
from __future__ import annotations

import colorsys
from typing import Any, Iterator, NamedTuple, Sequence

import cv2
import numpy as np
from torch import Tensor

from ..geometry.camera import project_points
from .canvas import (TITLE_HEIGHT, Array, Colour, as_array, beside, dim, fit, legend, scale_pixels,
                     stack, titled)
from .points import draw_birds_eye, draw_depth, draw_discs, panel_coordinates, project_visible

MIN_SCORE = 0.3  # minimum score of a drawn box
NO_CLASS: Colour = (90, 90, 90)
NO_INSTANCE: Colour = (90, 90, 90)
GOLDEN = (5**0.5 - 1) / 2  # golden ratio: hue step between instances, in turns
BIRDS_EYE = 560  # width and height of a panel of labels, pixels
IMAGE_WIDTH = 720  # of a panel of labels, pixels
BOX_PANEL = 640
BOX_IMAGE_WIDTH = 960
NEAR = 0.1  # depth at which the edges of boxes are clipped, metres
GREY: Colour = (130, 130, 130)
# Corners of mmdet3d's boxes: 0 to 3 are one side (bottom, top, top, bottom), 4 to 7 the other.
EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6),
         (3, 7))
BOTTOM = (0, 3, 7, 4)


def draw_prediction(points: Tensor, sample: Any, views: Sequence[dict], metainfo: dict,
                    thing_classes: Sequence[int] | None = None
                    ) -> Iterator[tuple[str, str, np.ndarray]]:
    """Draw the classes, instances or boxes of a scan, from above and on its images.

    Args:
        points: (N, 3+) points in the LiDAR frame, metres.
        sample: mmdet3d's data sample with ``pred_pts_seg`` or ``pred_instances_3d``, and the truth
            in ``eval_ann_info`` where it is known.
        views: Result of :func:`~nclr_plugin.datasets.scan_images.load_scan_images`.
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
        class_info = ClassInfo(names, palette, things)
        if labels[1] is not None and labels[0].instance is None:
            labels = (labels[0], Panoptic(labels[1].semantic))
        yield 'birds_eye', '', draw_panoptic_birds_eye(points, *labels, class_info)
        for view in views:
            yield 'camera', view['name'], draw_panoptic_image(
                view['image'], view['lidar2cam'], view['cam2img'], points, *labels, class_info)
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
    return Panoptic(as_array(labels['pts_semantic_mask']),
                    None if instance is None else as_array(instance))


def _boxes(instances: Any) -> Boxes:
    mask = (instances.scores_3d >= MIN_SCORE).cpu()
    return Boxes(as_array(instances.bboxes_3d.corners)[mask.numpy()],
                 as_array(instances.labels_3d)[mask.numpy()])


def _true_boxes(truth: dict) -> Boxes | None:
    if 'gt_bboxes_3d' not in truth:
        return None
    return Boxes(as_array(truth['gt_bboxes_3d'].corners).reshape(-1, 8, 3),
                 as_array(truth['gt_labels_3d']))


def _palette(count: int) -> list[tuple[int, int, int]]:
    return [tuple(colour) for colour in instance_colours(np.arange(1, count + 1))]


class Panoptic(NamedTuple):
    """Labels of a scan.

    Attributes:
        semantic: (N,) classes; other numbers mean no class.
        instance: (N,) instance ids, 0 for none; ids of stuff classes are ignored. None: classes
            alone.
    """
    semantic: np.ndarray
    instance: np.ndarray | None = None


class ClassInfo(NamedTuple):
    """Names and colours of classes.

    Attributes:
        names: C names.
        palette: (C, 3) uint8 RGB.
        thing_classes: Classes that have instances.
    """
    names: Sequence[str]
    palette: np.ndarray
    thing_classes: Sequence[int]


def draw_panoptic_birds_eye(points: Tensor, predicted: Panoptic, true: Panoptic | None,
                            class_info: ClassInfo) -> np.ndarray:
    """Draw classes and instances of a scan from above, predicted and true.

    Args:
        points: (N, 3+) points in the LiDAR frame, metres.
        predicted: Predicted labels of the N points.
        true: True labels of the N points, or ``None`` if unknown.
        class_info: Names and colours of the classes.

    Returns:
        uint8 RGB picture. A predicted instance has the colour of the true one that it matches
        (IoU above 0.5); instances without match have colours of their own.
    """
    order = np.argsort(points[:, 2].cpu().numpy(), kind='stable')

    def draw(colours: np.ndarray) -> np.ndarray:
        return draw_birds_eye(points[order], colours[order], None, None, 0, BIRDS_EYE)

    return _compare_labels(draw, predicted, true, class_info)


def draw_panoptic_image(image: np.ndarray, lidar2cam: Array, cam2img: Array, points: Tensor,
                        predicted: Panoptic, true: Panoptic | None,
                        class_info: ClassInfo) -> np.ndarray:
    """Draw classes and instances of a scan into the image of a camera, predicted and true.

    Args:
        image: (H, W, 3) uint8 RGB.
        lidar2cam: (4, 4) extrinsics.
        cam2img: (3, 3) intrinsics.
        points: (N, 3+) points in the LiDAR frame, metres.
        predicted: See :func:`draw_panoptic_birds_eye`.
        true: See :func:`draw_panoptic_birds_eye`.
        class_info: See :func:`draw_panoptic_birds_eye`.

    Returns:
        uint8 RGB picture.
    """
    background, factor = fit(image, IMAGE_WIDTH)
    background = dim(background)
    visible, pixels, depth = project_visible(points, lidar2cam, cam2img, *image.shape[:2])
    order = np.argsort(-depth, kind='stable')
    pixels = scale_pixels(pixels[order], factor)

    def draw(colours: np.ndarray) -> np.ndarray:
        return draw_discs(background, pixels, colours[visible[order]])

    return _compare_labels(draw, predicted, true, class_info)


def match_instances(predicted: Panoptic, true: Panoptic,
                    thing_classes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Assign numbers to instances, the same one to matching predicted and true instances.

    Args:
        predicted: Predicted labels of N points.
        true: True labels of the same points.
        thing_classes: Classes that have instances.

    Returns:
        (N,) numbers of the predicted and (N,) of the true instances, 0 for none. True instances
        are 1..K. A predicted instance has the number of the true one of its class with an IoU
        above 0.5, or else a number above K.
    """
    true_number, predicted_number = (_number(labels, thing_classes) for labels in (true, predicted))
    pairs, shared = np.unique(np.stack((predicted_number, true_number)), axis=1,
                              return_counts=True)
    sizes = np.bincount(true_number), np.bincount(predicted_number)
    renamed = np.arange(len(sizes[1])) + len(sizes[0]) - 1
    renamed[0] = 0
    for (pred, gt), intersection in zip(pairs.T, shared):
        union = sizes[0][gt] + sizes[1][pred] - intersection
        if pred and gt and intersection > union / 2:
            agree = true.semantic[true_number == gt][0] == predicted.semantic[
                predicted_number == pred][0]
            renamed[pred] = gt if agree else renamed[pred]
    return renamed[predicted_number], true_number


def _number(labels: Panoptic, thing_classes: Sequence[int]) -> np.ndarray:
    """Assign 1..K to instances (N,) in the order of class and id, 0 to the rest."""
    thing = np.isin(labels.semantic, list(thing_classes)) & (labels.instance > 0)
    number = np.zeros(len(thing), np.int64)
    rows = np.stack((labels.semantic[thing], labels.instance[thing]), axis=1)
    number[thing] = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1) + 1
    return number


def _compare_labels(draw, predicted: Panoptic, true: Panoptic | None,
                    class_info: ClassInfo) -> np.ndarray:
    """Arrange classes and instances in rows, predicted and true in columns; add a legend."""
    both = [('predicted', predicted)] + ([] if true is None else [('true', true)])
    classes = beside([titled(draw(_class_colours(labels.semantic, class_info)), f'classes, {name}')
                      for name, labels in both], 4)
    occurring = np.unique(np.concatenate([labels.semantic for _, labels in both]))
    entries = [(tuple(int(part) for part in class_info.palette[index]), class_info.names[index])
               for index in occurring if 0 <= index < len(class_info.names)]
    if len(entries) < len(occurring):
        entries.append((NO_CLASS, 'no label'))
    rows = [classes, legend(entries, classes.shape[1])]
    if predicted.instance is not None:
        numbers = [_number(predicted, class_info.thing_classes)] if true is None else \
            match_instances(predicted, true, class_info.thing_classes)
        rows.append(beside([
            titled(draw(instance_colours(number)), f'instances, {name}: {len(set(number) - {0})}')
            for (name, _), number in zip(both, numbers)], 4))
    return stack(rows, TITLE_HEIGHT // 4)


def _class_colours(semantic: np.ndarray, class_info: ClassInfo) -> np.ndarray:
    table = np.concatenate([class_info.palette, [NO_CLASS]]).astype(np.uint8)
    known = (semantic >= 0) & (semantic < len(class_info.palette))
    return table[np.where(known, semantic, len(class_info.palette))]


def instance_colours(number: np.ndarray) -> np.ndarray:
    """Return the colours (N, 3) uint8 of instance numbers (N,), where 0 means none."""
    table = [NO_INSTANCE] + [
        tuple(255 * part for part in colorsys.hsv_to_rgb(k * GOLDEN % 1, 0.6 + 0.4 * (k % 2), 1))
        for k in range(1, int(number.max(initial=0)) + 1)]
    return np.array(table).astype(np.uint8)[number]


class Boxes(NamedTuple):
    """Boxes of a scan.

    Attributes:
        corners: (M, 8, 3), LiDAR frame, metres, in the order of mmdet3d's boxes.
        labels: (M,) classes; other numbers mean no class.
    """
    corners: np.ndarray
    labels: np.ndarray


def draw_boxes_birds_eye(points: Tensor, predicted: Boxes, true: Boxes | None,
                         names: Sequence[str], palette: np.ndarray) -> np.ndarray:
    """Draw a scan from above with its boxes, predicted beside true.

    Args:
        points: (N, 3+) points in the LiDAR frame, metres.
        predicted: Predicted boxes.
        true: True boxes, or ``None`` if unknown.
        names: Names of the classes.
        palette: (C, 3) uint8 RGB.

    Returns:
        uint8 RGB picture.
    """
    colours = np.full((len(points), 3), GREY, np.uint8)
    panel = draw_birds_eye(points, colours, None, None, 0, BOX_PANEL)

    def draw(boxes: Boxes) -> np.ndarray:
        drawn = panel.copy()
        pixels = panel_coordinates(points, boxes.corners[:, BOTTOM, :2], BOX_PANEL)
        for outline, label in zip(np.rint(pixels).astype(np.int32), boxes.labels):
            cv2.polylines(drawn, [outline], True, _colour(palette, label), 2, cv2.LINE_AA)
        return drawn

    return _compare_boxes(draw, predicted, true, names, palette)


def draw_boxes_image(image: np.ndarray, lidar2cam: Array, cam2img: Array, points: Tensor,
                     predicted: Boxes, true: Boxes | None, names: Sequence[str],
                     palette: np.ndarray) -> np.ndarray:
    """Draw the boxes into the image of a camera, over the points coloured by depth.

    Args:
        image: (H, W, 3) uint8 RGB.
        lidar2cam: (4, 4) extrinsics.
        cam2img: (3, 3) intrinsics.
        points, predicted, true, names, palette: See :func:`draw_boxes_birds_eye`.

    Returns:
        uint8 RGB picture.
    """
    background, factor = fit(image, BOX_IMAGE_WIDTH)
    _, pixels, depth = project_visible(points, lidar2cam, cam2img, *image.shape[:2])
    background = draw_depth(background, scale_pixels(pixels, factor), depth, radius=1.)

    def draw(boxes: Boxes) -> np.ndarray:
        drawn = background.copy()
        for corners, label in zip(boxes.corners, boxes.labels):
            for line in _edges_in_view(corners, lidar2cam, cam2img):
                ends = np.rint(scale_pixels(line, factor)).clip(-2**15, 2**15).astype(int)
                cv2.line(drawn, tuple(ends[0].tolist()), tuple(ends[1].tolist()),
                         _colour(palette, label), 2, cv2.LINE_AA)
        return drawn

    return _compare_boxes(draw, predicted, true, names, palette)


def _edges_in_view(corners: np.ndarray, lidar2cam: Array, cam2img: Array) -> np.ndarray:
    """Return the pixels (E, 2, 2) of the edges of a box, clipped in front of the camera."""
    lidar2cam, cam2img = (as_array(value).astype(np.float64) for value in (lidar2cam, cam2img))
    inside = corners @ lidar2cam[:3, :3].T + lidar2cam[:3, 3]
    ends = inside[np.array(EDGES)]  # (12, 2, 3)
    ends = ends[(ends[..., 2] > NEAR).any(axis=1)]
    for this, other in ((0, 1), (1, 0)):
        behind = ends[:, this, 2] < NEAR
        share = (NEAR - ends[behind, this, 2]) / (ends[behind, other, 2] - ends[behind, this, 2])
        ends[behind, this] += share[:, None] * (ends[behind, other] - ends[behind, this])
    pixels, _ = project_points(ends.reshape(-1, 3), np.eye(4), cam2img)
    return pixels.reshape(-1, 2, 2)


def _compare_boxes(draw, predicted: Boxes, true: Boxes | None, names: Sequence[str],
                   palette: np.ndarray) -> np.ndarray:
    both = [('predicted', predicted)] + ([] if true is None else [('true', true)])
    panels = beside([titled(draw(boxes), f'{name}: {len(boxes.labels)}')
                     for name, boxes in both], 4)
    entries = [(_colour(palette, index), name) for index, name in enumerate(names)]
    return stack([panels, legend(entries, panels.shape[1])])


def _colour(palette: np.ndarray, label: int) -> tuple[int, int, int]:
    known = 0 <= label < len(palette)
    return tuple(int(part) for part in palette[label]) if known else GREY
