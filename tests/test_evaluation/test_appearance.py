"""Agreement of image and scan against a slow transcription of its description."""
import numpy as np
import pytest
from scipy.stats import spearmanr

from nclr_plugin.evaluation.appearance import Appearance, appearance_agreement

cv2 = pytest.importorskip('cv2')
CAM2IMG = np.array([[60., 0, 39.5], [0, 62., 29.5], [0, 0, 1]])


@pytest.fixture
def pair():
    """An image of noise, and points before the camera and behind it; a pose that is no identity."""
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-8, 8, (900, 2)), rng.uniform(-6, 14, 900),
                              rng.uniform(0, 1, 900)]).astype(np.float32)
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
    strength, contrast, jump = [], [], []
    for u, v, z, intensity, colour in seen:
        away = [np.hypot(u - other[0], v - other[1]) for other in seen]
        for place in np.argsort(away)[1:5]:
            if away[place] < 8:
                other = seen[place]
                strength.append(abs(intensity - other[3]))
                contrast.append(np.sqrt(sum((colour - other[4])**2)))
                jump.append(max(z, other[2]) / min(z, other[2]) > 1.15)
    contrast, jump = np.array(contrast), np.array(jump)
    step = np.log1p(contrast[jump]).mean() - np.log1p(contrast[~jump]).mean()
    return spearmanr(strength, contrast)[0] + 0.3 * step


def test_agreement_is_as_described(pair):
    image, points, pose = pair
    found = appearance_agreement(image, points, pose, CAM2IMG)
    assert found == pytest.approx(slowly(image, points, pose), abs=1e-6) and found != 0


def test_points_near_the_view_say_the_same(pair):
    image, points, pose = pair
    appearance = Appearance(image, points, CAM2IMG)
    part = appearance.near(pose, 20., 10000)
    assert 0 < len(part.points) < len(appearance.points)
    assert part.agreement(pose) == appearance.agreement(pose)
    aside = pose.copy()
    aside[0, 3] += 0.2  # still of the same points
    assert part.agreement(aside) == pytest.approx(appearance.agreement(aside), abs=1e-9)
    few = appearance.near(pose, 20., 100)
    assert len(few.points) == 100 and len(np.unique(few.points, axis=0)) == 100
    assert (few.points == appearance.near(pose, 20., 100).points).all()
    assert len(appearance.points) == len(points)
