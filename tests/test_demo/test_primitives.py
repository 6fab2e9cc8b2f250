"""Labels, surfaces and placement of solids."""
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from scipy.spatial.transform import Rotation

from nclr_plugin.demo.primitives import (MOVING, Label, Material, Part, Primitives, Shape,
                                         frustum_planes, place, yaw_matrix)

PLAIN = Material((0.5, 0.5, 0.5), Label.BUILDING)


def level(part, points):
    """Below 0 inside a solid, above 0 outside; homogeneous of degree one but for the frustum."""
    x, y, z = ((points - part.center) @ part.rotation / part.half).T
    if part.shape == Shape.BOX:
        return np.max([np.abs(x), np.abs(y), np.abs(z)], 0) - 1
    if part.shape == Shape.CYLINDER:
        return np.maximum(np.hypot(x, y), np.abs(z)) - 1
    if part.shape == Shape.ELLIPSOID:
        return np.sqrt(x * x + y * y + z * z) - 1
    front, back, side = np.array(part.inset) * 1.0
    grow = (z + 1) / 2
    return np.max([
        x - (1 - front * grow), -x - (1 - back * grow),
        np.abs(y) - (1 - side * grow),
        np.abs(z) - 1
    ], 0)


def test_normals_are_gradients_of_the_solids():
    rng = np.random.default_rng(0)
    for shape in Shape:
        half = (1.5, 1.5, 0.7) if shape == Shape.CYLINDER else (2.0, 0.8, 1.2)
        part = Part(shape, (4.0, -3.0, 1.0),
                    half,
                    PLAIN,
                    Rotation.random(random_state=1).as_matrix(),
                    inset=(0.4, 0.2, 0.6))
        ray = rng.normal(size=(300, 3))
        low, high = np.zeros(300), np.full(300, 10.0)
        for _ in range(60):  # bisect from the centre outward
            middle = (low + high) / 2
            out = level(part, part.center + middle[:, None] * ray) > 0
            low, high = np.where(out, low, middle), np.where(out, middle, high)
        points = part.center + low[:, None] * ray
        gradient = np.stack([
            level(part, points + 1e-5 * axis) - level(part, points - 1e-5 * axis)
            for axis in np.eye(3)
        ], 1)
        gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
        surface = Primitives([part]).surface(np.zeros(300, int), points)
        agree = (surface.normal * gradient).sum(1)
        assert (agree > 0.999).mean() > 0.97  # all but points on an edge
        np.testing.assert_allclose(surface.local, (points - part.center) @ part.rotation, atol=1e-4)


def test_frustum_planes_hold_its_corners():
    inset = np.array([[0.5, 0.2, 0.9]])
    normals, offsets = frustum_planes(inset)
    corners = np.array([[1, 1, -1], [-1, -1, -1], [0.5, 0.1, 1], [-0.8, -0.1, 1]])
    excess = corners @ normals[0].T - offsets[0]
    assert (excess < 1e-9).all()
    assert ((np.abs(excess) < 1e-9).sum(1) == 3).all()  # three faces meet in each corner


def test_place_turns_then_moves():
    part = Part(Shape.BOX, (1, 0, 0.5), (1, 2, 0.5), PLAIN)
    moved, = place([part], (10, 20, 1), np.pi / 2, instance=7)
    np.testing.assert_allclose(moved.center, (10, 21, 1.5))
    np.testing.assert_allclose(moved.rotation, yaw_matrix(np.pi / 2), atol=1e-12)
    assert moved.instance == 7
    np.testing.assert_allclose(moved.corners().min(0), (8, 20, 1))
    np.testing.assert_allclose(moved.corners().max(0), (12, 22, 2))


def test_take_keeps_rows_together():
    parts = [Part(Shape(k % 4), (k, 0, 0), (1, 1, 1), PLAIN, instance=k) for k in range(6)]
    taken = Primitives(parts).take(np.array([False, True, False, True, False, False]))
    assert len(taken) == 2
    assert taken.instance.tolist() == [1, 3]
    assert taken.center[:, 0].tolist() == [1, 3]
    normal = taken.surface(np.array([1]), np.array([[3.0, 1.0, 0.0]])).normal
    np.testing.assert_allclose(normal, [[0, 1, 0]], atol=1e-6)


# Label: raw labels against mmdet3d's classes of SemanticKITTI

CLASSES = dict(
    CAR='car', BICYCLE='bicycle', BUS='bus', TRUCK='truck', PERSON='person',
    BICYCLIST='bicyclist', ROAD='road', PARKING='parking', SIDEWALK='sidewalk',
    BUILDING='building', FENCE='fence', VEGETATION='vegetation', TRUNK='trunck',
    TERRAIN='terrian', POLE='pole', TRAFFIC_SIGN='traffic-sign')  # as mmdet3d spells them


@pytest.fixture(scope='module')
def names():
    """mmdet3d's name of the class of a raw label."""
    mmdet3d = pytest.importorskip('mmdet3d')
    config = Config.fromfile(
        str(Path(mmdet3d.__file__).parent / '.mim/configs/_base_/datasets/semantickitti.py'))
    mapping = config.metainfo.seg_label_mapping
    classes = (*config.class_names, 'unlabeled')
    return {label: classes[index] for label, index in mapping.items()}


def test_labels_are_those_of_their_class(names):
    assert {name: names[Label[name]] for name in CLASSES} == CLASSES


def test_moving_labels_are_of_the_class_that_stands(names):
    assert len(set(MOVING.values())) == len(MOVING)
    for still, moving in MOVING.items():
        assert moving >= 252 and names[moving] == names[still]


def test_everything_else_is_a_known_label(names):
    assert set(Label) <= set(names)
