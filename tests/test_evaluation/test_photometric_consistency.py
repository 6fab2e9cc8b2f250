"""Photometric consistency against slow transcriptions of its description."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from nclr_plugin.evaluation.photometric_consistency import Evidence, PhotometricConsistency

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
