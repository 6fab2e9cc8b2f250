"""Photometric consistency against slow transcriptions of its description."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from nclr_plugin.evaluation.photometric_consistency import (BatchedReflectance, Evidence,
                                                            PhotometricConsistency)

cv2 = pytest.importorskip('cv2')
CAM2IMG = np.array([[60., 0, 39.5], [0, 62., 29.5], [0, 0, 1]])


@pytest.fixture
def pair():
    """An image of noise, and points before the camera and behind it; a pose that is no identity."""
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-8, 8, (1800, 2)), rng.uniform(-6, 14, 1800),
                              rng.uniform(0, 1, 1800)]).astype(np.float32)
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array([0.02, -0.05, 0.1]))[0]
    pose[:3, 3] = 0.1, -0.2, 0.3
    return rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), points, pose


def slowly(image, points, pose):
    smooth = cv2.cvtColor(cv2.GaussianBlur(image, (3, 3), 0), cv2.COLOR_RGB2LAB).astype(float)
    seen = []
    for x, y, z, intensity in points.astype(float):
        x, y, z = pose[:3, :3] @ (x, y, z) + pose[:3, 3]
        u, v = (CAM2IMG @ (x / z, y / z, 1))[:2]
        if z > 1 and -0.5 <= u < 79.5 and -0.5 <= v < 59.5:
            seen.append((u, v, z, intensity, smooth[int(round(v)), int(round(u))]))
    strength, contrast, jump, place = [], [], [], []
    for u, v, z, intensity, colour in seen:
        away = [np.hypot(u - other[0], v - other[1]) for other in seen]
        for number in np.argsort(away)[1:5]:
            other = seen[number]
            if away[number] >= 8 or np.allclose(np.rint([u, v]), np.rint(other[:2])):
                continue
            strength.append(abs(intensity - other[3]))
            contrast.append(np.sqrt(sum((colour - other[4])**2)))
            jump.append(max(z, other[2]) / min(z, other[2]) > 1.15)
            place.append((away[number], v, v * v))
    contrast, place = np.array(contrast), np.array(place)
    # Partial correlation by the inverse of all correlations; the step by a regression.
    every = np.corrcoef(np.column_stack([rankdata(strength), rankdata(contrast), place]).T)
    inverse = np.linalg.inv(every)
    columns = np.column_stack([jump, place, np.ones(len(place))]).astype(float)
    return Evidence(-inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1]), len(jump),
                    np.linalg.lstsq(columns, np.log1p(contrast), rcond=None)[0][0],
                    min(sum(jump), len(jump) - sum(jump)))


def test_evidence_is_as_described(pair):
    image, points, pose = pair
    found = PhotometricConsistency(image, points, CAM2IMG).evidence(pose)
    expected = slowly(image, points, pose)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.num_jumps > 100 and found.num_pairs > 1000
    assert PhotometricConsistency(image, points, CAM2IMG).score(pose) == found.score


def test_every_kind_of_evidence_has_its_weights():
    both = Evidence(0.2, 10000, 0.5, 1600)
    assert both.score == pytest.approx(0.2 + 0.3 * 0.5)
    assert both._replace(step=np.nan).score == pytest.approx(1.5 * 0.2)
    step = both._replace(reflectance=np.nan)
    assert step.score == pytest.approx(0.36 * 0.5)
    assert step._replace(num_jumps=999).score == 0 == Evidence().score


@pytest.fixture
def cover(pair):
    """A pose under which the sensor itself is in the middle of the image, and its rows."""
    pose = pair[2].copy()
    pose[:3, 3] = 0., 0., 3.
    return pose, pair[1]


@pytest.mark.parametrize('added', ['origin', 'cover', 'repeated', 'twice', 'not finite'])
def test_rows_that_are_no_measurement_are_no_evidence(pair, cover, added):
    image, points, pose = pair
    rng = np.random.default_rng(1)
    rows = dict(
        origin=np.zeros((700, 4)),
        cover=np.column_stack([rng.uniform(-0.1, 0.1, (700, 3)), np.zeros(700)]),
        repeated=np.repeat(points[5:6], 700, axis=0),
        twice=points)[added] if added != 'not finite' else (
            np.full((700, 4), np.nan))
    more = np.concatenate((points, rows)).astype(np.float32)
    for lidar2cam in (pose, cover[0]):
        expected = PhotometricConsistency(image, points, CAM2IMG).evidence(lidar2cam)
        found = PhotometricConsistency(image, more, CAM2IMG).evidence(lidar2cam)
        assert expected.num_pairs > 1000
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize('noise', [0.001, 0.01])
def test_a_scan_repeated_with_noise_is_no_evidence(pair, noise):
    """Neighbours that share a pixel are left out, so that their likeness counts for nothing."""
    _, points, pose = pair
    for seed in range(6):
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        noisy = np.concatenate([points + rng.normal(0, [noise] * 3 + [0], points.shape)
                                for _ in range(4)])
        assert PhotometricConsistency(image, noisy, CAM2IMG).score(pose) < 0.2


def places(seed, count):
    """An image and a scan of smooth textures that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    image = gaussian_filter(rng.normal(size=(120, 160, 3)), (3, 3, 0))
    image = (128 + 60 * image / image.std()).clip(0, 255).astype(np.uint8)
    pixels = rng.uniform([0, 0], [159, 119], (count, 2))
    depth, intensity = (gaussian_filter(rng.normal(size=(120, 160)), 3)[
        pixels[:, 1].astype(int), pixels[:, 0].astype(int)] for _ in range(2))
    depth = 12 * np.exp(0.3 * depth / depth.std())
    cam2img = np.array([[100., 0, 79.5], [0, 100., 59.5], [0, 0, 1]])
    rays = np.column_stack([pixels, np.ones(count)]) @ np.linalg.inv(cam2img).T
    return image, np.column_stack([rays * depth[:, None], intensity]), cam2img


@pytest.mark.parametrize('count', [300, 1000, 6000])
def test_different_places_do_not_agree_however_sparse_the_scan(count):
    """What is farther apart differs more, in any image and any scan."""
    scores = []
    for seed in range(12):
        image, points, cam2img = places(seed, count)
        for constant in (False, True):
            points[:, 3] *= not constant
            scores.append(PhotometricConsistency(image, points, cam2img).score(np.eye(4)))
    assert max(scores) < 0.2


def test_a_scan_without_intensities_is_judged_by_its_jumps():
    image, points, cam2img = places(0, 6000)
    near = points[:, 0] < 0
    points[near, :3] *= 0.5
    for constant in (0., 1.):
        points[:, 3] = constant
        evidence = PhotometricConsistency(image, points, cam2img).evidence(np.eye(4))
        assert np.isnan(evidence.reflectance) and np.isfinite(evidence.step)
        assert evidence.num_jumps >= 1000 and evidence.score == 0.36 * evidence.step
    points[:20, 3] = 0.5  # of 6000
    assert np.isnan(PhotometricConsistency(image, points, cam2img).evidence(np.eye(4)).reflectance)


def test_points_near_the_view_say_the_same(pair):
    image, points, pose = pair
    consistency = PhotometricConsistency(image, points, CAM2IMG)
    part = consistency.subset(pose, 20., 10000)
    assert 0 < len(part.points) < len(consistency.points)
    assert part.score(pose) == consistency.score(pose)
    aside = pose.copy()
    aside[0, 3] += 0.2  # still of the same points
    assert part.score(aside) == pytest.approx(consistency.score(aside), abs=1e-9)
    few = consistency.subset(pose, 20., 100)
    assert len(few.points) == 100 and len(np.unique(few.points, axis=0)) == 100
    assert (few.points == consistency.subset(pose, 20., 100).points).all()
    assert len(consistency.points) == len(points)


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
    consistency = PhotometricConsistency(scene.image, scene.points, scene.cam2img)
    shifts = np.random.default_rng(0).normal(0, [0.2, 0.1, 0.2], (40, 3))
    shifts[0] = 0
    poses = moved(scene.lidar2cam, shifts)
    found = BatchedReflectance(consistency, scene.lidar2cam, 100000, 4).correlation(poses).numpy()
    expected = [consistency.evidence(pose.numpy()).reflectance for pose in poses]
    assert np.corrcoef(found, expected)[0, 1] > 0.95
    assert np.argmax(found) == np.argmax(expected) == 0
    assert found[0] == pytest.approx(expected[0], abs=0.1)


def test_correlation_is_as_described(scene):
    consistency = PhotometricConsistency(scene.image, scene.points, scene.cam2img)
    pairs = BatchedReflectance(consistency, scene.lidar2cam, 400, 6)
    aside = moved(scene.lidar2cam, [[0.4, 0., -0.3]])
    pose, height, width = aside[0].numpy(), *consistency.colours.shape[:2]
    pixels, colours = [], []
    for point in pairs.points.double().numpy():
        x, y, z = pose[:3, :3] @ point + pose[:3, 3]
        pixels.append((consistency.cam2img @ (x / z, y / z, 1))[:2])
        u, v = np.round(pixels[-1]).astype(int)
        seen = z > 1 and 0 <= u < width and 0 <= v < height
        colours.append(consistency.colours[v, u] if seen else None)
    ranks, contrast_ranks = [], []
    for first, second, rank in zip(pairs.first, pairs.second, pairs.rank):
        if (colours[first] is not None and colours[second] is not None
                and np.hypot(*np.subtract(pixels[first], pixels[second])) < pairs.max_distance):
            contrast = np.linalg.norm(colours[first] - colours[second])
            ranks.append(float(rank))
            contrast_ranks.append(float(pairs.level_rank[min(int(round(contrast)), 511)]))
    expected = np.corrcoef(ranks, contrast_ranks)[0, 1]
    assert float(pairs.correlation(aside)) == pytest.approx(expected, abs=2e-3)
    assert 0 < len(ranks) < len(pairs.rank)


def test_levels_are_ranked_by_shares_of_smaller_contrasts(scene):
    pairs = BatchedReflectance(PhotometricConsistency(scene.image, scene.points, scene.cam2img),
                               scene.lidar2cam, 2000, 4)
    assert pairs.level_rank[0] == 0 and pairs.level_rank[-1] == 1
    assert (pairs.level_rank.diff() >= 0).all()
    ranks = pairs.rank.numpy() * len(pairs.rank)
    np.testing.assert_allclose(ranks, rankdata(ranks), rtol=1e-5)
    assert (pairs.first < pairs.second).all()


def test_fewer_points_see_farther(scene):
    """A fifth of a metre aside more of the height of the peak is left."""
    consistency = PhotometricConsistency(scene.image, scene.points, scene.cam2img)
    left = []
    for size in (300, 6000):
        pairs = BatchedReflectance(consistency, scene.lidar2cam, size, 8)
        true, *near = pairs.correlation(moved(scene.lidar2cam, [
            [0, 0, 0], [0.15, 0, 0], [-0.15, 0, 0], [0, 0, 0.25], [0, 0, -0.25]])).tolist()
        far = pairs.correlation(moved(scene.lidar2cam, np.random.default_rng(0).normal(
            0, [3., 0.2, 3.], (100, 3)))).mean()
        left.append((np.mean(near) - far) / (true - far))
    assert left[0] > left[1]


def test_where_little_is_in_view_nothing_agrees(scene):
    consistency = PhotometricConsistency(scene.image, scene.points, scene.cam2img)
    pairs = BatchedReflectance(consistency, scene.lidar2cam, 1000, 6)
    assert pairs.correlation(moved(scene.lidar2cam, [[200., 0, 0]])).tolist() == [0]
    behind = np.diag([1., -1., -1., 1.]) @ scene.lidar2cam
    behind[2, 3] = -100
    none = BatchedReflectance(consistency, behind, 1000, 6)
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
        BatchedReflectance(PhotometricConsistency(scene.image, points, scene.cam2img), pose, 600, 8)
        for points in (scene.points, more))
    assert torch.equal(found.points, expected.points) and torch.equal(found.rank, expected.rank)
    shifts = np.random.default_rng(0).normal(0, 0.3, (10, 3))
    assert torch.equal(found.correlation(moved(pose, shifts)),
                       expected.correlation(moved(pose, shifts)))
