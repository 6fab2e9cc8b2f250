"""Classes and instances of a scan, predicted and true, from above and in an image."""
from __future__ import annotations

import colorsys
from typing import NamedTuple, Sequence

import numpy as np
from torch import Tensor

from .birds_eye import draw_birds_eye
from .canvas import TITLE_HEIGHT, Colour, beside, dim, fit, legend, scale_pixels, stack, titled
from .points import draw_discs, project_visible

NO_CLASS: Colour = (90, 90, 90)
NO_INSTANCE: Colour = (90, 90, 90)
GOLDEN = (5**0.5 - 1) / 2  # golden ratio: hue step between instances, in turns
BIRDS_EYE = 560  # size of a panel, pixels
IMAGE_WIDTH = 720


class Panoptic(NamedTuple):
    """Labels of a scan.

    Attributes:
        semantic: (N,) classes; other numbers mean no class.
        instance: (N,) instance ids, 0 for none; ids of stuff classes are ignored. None: classes
            alone.
    """
    semantic: np.ndarray
    instance: np.ndarray | None = None


class Vocabulary(NamedTuple):
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
                            vocabulary: Vocabulary) -> np.ndarray:
    """Draw classes and instances of a scan from above, predicted and true.

    Args:
        points: (N, 3+) points in the LiDAR frame, metres.
        predicted: Predicted labels of the N points.
        true: True labels of the N points, or ``None`` if unknown.
        vocabulary: Names and colours of the classes.

    Returns:
        uint8 RGB picture. A predicted instance has the colour of the true one that it matches
        (IoU above 0.5); instances without match have colours of their own.
    """
    order = np.argsort(points[:, 2].cpu().numpy(), kind='stable')

    def draw(colours: np.ndarray) -> np.ndarray:
        return draw_birds_eye(points[order], colours[order], None, None, 0, BIRDS_EYE)

    return _compare(draw, predicted, true, vocabulary)


def draw_panoptic_image(image: np.ndarray, lidar2cam: Tensor, cam2img: Tensor, points: Tensor,
                        predicted: Panoptic, true: Panoptic | None,
                        vocabulary: Vocabulary) -> np.ndarray:
    """Draw classes and instances of a scan into the image of a camera, predicted and true.

    Args:
        image: (H, W, 3) uint8 RGB.
        lidar2cam: (4, 4) extrinsics.
        cam2img: (3, 3) intrinsics.
        points: (N, 3+) points in the LiDAR frame, metres.
        predicted: See :func:`draw_panoptic_birds_eye`.
        true: See :func:`draw_panoptic_birds_eye`.
        vocabulary: See :func:`draw_panoptic_birds_eye`.

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

    return _compare(draw, predicted, true, vocabulary)


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


def _compare(draw, predicted: Panoptic, true: Panoptic | None,
             vocabulary: Vocabulary) -> np.ndarray:
    """Arrange classes and instances in rows, predicted and true in columns; add a legend."""
    both = [('predicted', predicted)] + ([] if true is None else [('true', true)])
    classes = beside([titled(draw(_class_colours(labels.semantic, vocabulary)), f'classes, {name}')
                      for name, labels in both], 4)
    occurring = np.unique(np.concatenate([labels.semantic for _, labels in both]))
    entries = [(tuple(int(part) for part in vocabulary.palette[index]), vocabulary.names[index])
               for index in occurring if 0 <= index < len(vocabulary.names)]
    if len(entries) < len(occurring):
        entries.append((NO_CLASS, 'no label'))
    rows = [classes, legend(entries, classes.shape[1])]
    if predicted.instance is not None:
        numbers = [_number(predicted, vocabulary.thing_classes)] if true is None else \
            match_instances(predicted, true, vocabulary.thing_classes)
        rows.append(beside([
            titled(draw(instance_colours(number)), f'instances, {name}: {len(set(number) - {0})}')
            for (name, _), number in zip(both, numbers)], 4))
    return stack(rows, TITLE_HEIGHT // 4)


def _class_colours(semantic: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    table = np.concatenate([vocabulary.palette, [NO_CLASS]]).astype(np.uint8)
    known = (semantic >= 0) & (semantic < len(vocabulary.palette))
    return table[np.where(known, semantic, len(vocabulary.palette))]


def instance_colours(number: np.ndarray) -> np.ndarray:
    """Return the colours (N, 3) uint8 of instance numbers (N,), where 0 means none."""
    table = [NO_INSTANCE] + [
        tuple(255 * part for part in colorsys.hsv_to_rgb(k * GOLDEN % 1, 0.6 + 0.4 * (k % 2), 1))
        for k in range(1, int(number.max(initial=0)) + 1)]
    return np.array(table).astype(np.uint8)[number]
