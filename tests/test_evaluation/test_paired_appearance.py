"""Correlation of many poses at once, against the one of a single pose and a slow transcription."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from nclr_plugin.evaluation.appearance import Appearance
from nclr_plugin.evaluation.paired_appearance import PairedAppearance


def brightness(x, y, z):
    """Of a street and the wall at its end: patches of a metre and less."""
    return 0.5 + 0.2 * (np.sin(5 * x + 2 * z) + np.sin(3 * z + 7 * y) + np.sin(9 * x - 4 * y))


@pytest.fixture
def scene():
    """A camera above a street that ends at a wall, in the camera's own frame."""
    rng = np.random.default_rng(0)
    cam2img = np.array([[100., 0, 79.5], [0, 100., 39.5], [0, 0, 1]])
    v, u = np.mgrid[:80, :160]
    rays = np.stack(((u - 79.5) / 100, (v - 39.5) / 100, np.ones(u.shape)))
    image = brightness(*rays * np.minimum(12, 1.6 / rays[1].clip(1e-6)))
    street = np.stack((rng.uniform(-6, 6, 6000), np.full(6000, 1.6), rng.uniform(3, 12, 6000)))
    wall = np.stack((rng.uniform(-9, 9, 6000), rng.uniform(-4, 1.6, 6000), np.full(6000, 12.)))
    points = np.concatenate((street, wall), axis=1)
    return SimpleNamespace(
        image=np.repeat((255 * image.clip(0, 1))[..., None], 3, 2).astype(np.uint8),
        points=np.column_stack((points.T, brightness(*points))).astype(np.float32),
        cam2img=cam2img, lidar2cam=np.eye(4))


def moved(pose, shifts):
    poses = torch.from_numpy(pose).repeat(len(shifts), 1, 1)
    poses[:, :3, 3] += torch.as_tensor(shifts)
    return poses


def test_it_ranks_poses_as_the_reflectance_does(scene):
    """Of all points, with the same neighbours."""
    appearance = Appearance(scene.image, scene.points, scene.cam2img)
    shifts = np.random.default_rng(0).normal(0, [0.2, 0.1, 0.2], (40, 3))
    shifts[0] = 0
    poses = moved(scene.lidar2cam, shifts)
    found = PairedAppearance(appearance, scene.lidar2cam, 100000, 4).correlation(poses).numpy()
    expected = [appearance.evidence(pose.numpy()).reflectance for pose in poses]
    assert np.corrcoef(found, expected)[0, 1] > 0.95
    assert np.argmax(found) == np.argmax(expected) == 0
    assert found[0] == pytest.approx(expected[0], abs=0.1)


def test_correlation_is_as_described(scene):
    appearance = Appearance(scene.image, scene.points, scene.cam2img)
    pairs = PairedAppearance(appearance, scene.lidar2cam, 400, 6)
    aside = moved(scene.lidar2cam, [[0.4, 0., -0.3]])
    pose, height, width = aside[0].numpy(), *appearance.colours.shape[:2]
    pixels, colours = [], []
    for point in pairs.points.double().numpy():
        x, y, z = pose[:3, :3] @ point + pose[:3, 3]
        pixels.append((appearance.cam2img @ (x / z, y / z, 1))[:2])
        u, v = np.round(pixels[-1]).astype(int)
        seen = z > 1 and 0 <= u < width and 0 <= v < height
        colours.append(appearance.colours[v, u] if seen else None)
    ranks, grades = [], []
    for first, second, rank in zip(pairs.first, pairs.second, pairs.rank):
        if (colours[first] is not None and colours[second] is not None
                and np.hypot(*np.subtract(pixels[first], pixels[second])) < pairs.reach):
            contrast = np.linalg.norm(colours[first] - colours[second])
            ranks.append(float(rank))
            grades.append(float(pairs.grade[min(int(round(contrast)), 511)]))
    expected = np.corrcoef(ranks, grades)[0, 1]
    assert float(pairs.correlation(aside)) == pytest.approx(expected, abs=2e-3)
    assert 0 < len(ranks) < len(pairs.rank)


def test_grades_are_shares_of_smaller_contrasts(scene):
    pairs = PairedAppearance(Appearance(scene.image, scene.points, scene.cam2img),
                             scene.lidar2cam, 2000, 4)
    assert pairs.grade[0] == 0 and pairs.grade[-1] == 1 and (pairs.grade.diff() >= 0).all()
    ranks = pairs.rank.numpy() * len(pairs.rank)
    np.testing.assert_allclose(ranks, rankdata(ranks), rtol=1e-5)
    assert (pairs.first < pairs.second).all()


def test_fewer_points_see_farther(scene):
    """A fifth of a metre aside more of the height of the peak is left."""
    appearance = Appearance(scene.image, scene.points, scene.cam2img)
    left = []
    for size in (300, 6000):
        pairs = PairedAppearance(appearance, scene.lidar2cam, size, 8)
        true, *near = pairs.correlation(moved(scene.lidar2cam, [
            [0, 0, 0], [0.15, 0, 0], [-0.15, 0, 0], [0, 0, 0.25], [0, 0, -0.25]])).tolist()
        far = pairs.correlation(moved(scene.lidar2cam, np.random.default_rng(0).normal(
            0, [3., 0.2, 3.], (100, 3)))).mean()
        left.append((np.mean(near) - far) / (true - far))
    assert left[0] > left[1]


def test_where_little_is_in_view_nothing_agrees(scene):
    appearance = Appearance(scene.image, scene.points, scene.cam2img)
    pairs = PairedAppearance(appearance, scene.lidar2cam, 1000, 6)
    assert pairs.correlation(moved(scene.lidar2cam, [[200., 0, 0]])).tolist() == [0]
    behind = np.diag([1., -1., -1., 1.]) @ scene.lidar2cam
    behind[2, 3] = -100
    none = PairedAppearance(appearance, behind, 1000, 6)
    assert none.correlation(moved(scene.lidar2cam, np.zeros((3, 3)))).tolist() == [0, 0, 0]


def test_rows_that_are_no_measurement_pair_with_nothing(scene):
    """With the sensor in view: its origin, its cover, and a point that is written again."""
    pose = np.eye(4)
    pose[2, 3] = 3.
    rng = np.random.default_rng(1)
    rows = np.concatenate((np.zeros((4000, 4)), rng.uniform(-0.1, 0.1, (4000, 4)),
                           np.repeat(scene.points[:1], 4000, axis=0)))
    more = np.concatenate((scene.points, rows)).astype(np.float32)
    expected, found = (
        PairedAppearance(Appearance(scene.image, points, scene.cam2img), pose, 600, 8)
        for points in (scene.points, more))
    assert torch.equal(found.points, expected.points) and torch.equal(found.rank, expected.rank)
    shifts = np.random.default_rng(0).normal(0, 0.3, (10, 3))
    assert torch.equal(found.correlation(moved(pose, shifts)),
                       expected.correlation(moved(pose, shifts)))
