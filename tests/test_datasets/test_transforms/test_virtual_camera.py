"""A camera turned virtually: the same rays, other pixels."""
import copy

import cv2
import numpy as np
import pytest

from nclr_plugin.datasets.transforms import VirtualCamera
from nclr_plugin.errors import BrokenFrameError


def _camera(width=1242, height=375, focal=721.):
    """One camera like KITTI's, looking along z of the points' frame."""
    return dict(imgs=[np.zeros((height, width, 3), np.uint8)],
                cam2img=np.array([[[focal, 0., width / 2 - 12], [0., focal, height / 2 - 15],
                                   [0., 0., 1.]]]),
                lidar2cam=np.eye(4)[None], rng=np.random.default_rng(0))


def _axis(results):
    """Direction of the window's optical axis in the camera: yaw, pitch (degrees)."""
    x, y, z = results['lidar2cam'][0][2, :3]
    return np.degrees([np.arctan2(x, z), np.arcsin(-y)])


@pytest.mark.parametrize('seed', range(5))
def test_the_point_stays_on_its_blob(results, opencv_project, seed):
    """Two views of different size and intrinsics, a window that is coarser or finer than both."""
    results['rng'] = np.random.default_rng(seed)
    before = copy.deepcopy(results)
    inside = False
    after = VirtualCamera((90, 48), fov=(30., 50.), pitch=2.)(results)
    for view, pixel in enumerate(opencv_project(after, after['points'][:1, :3])[:, 0]):
        if not (12 < pixel[0] < 77 and 12 < pixel[1] < 35):  # a blob cut off has another middle
            continue
        inside = True
        # Its upper half: what is below spreads over the border.
        weights = np.clip(after['imgs'][view][..., 0].astype(float) - 128, 0, None)
        y, x = np.mgrid[:48, :90]
        centre = np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()
        np.testing.assert_allclose(centre, pixel, atol=0.15)
    assert inside or seed
    np.testing.assert_array_equal(after['points'], before['points'])
    assert all(img.shape == (48, 90, 3) and img.dtype == np.uint8 for img in after['imgs'])


def test_points_go_where_the_homography_takes_their_pixels(opencv_project):
    results = _camera()
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.uniform(-1, 1, (50, 2)) * (4, 0.6), np.full((50, 1), 10.)], 1)
    old = opencv_project(results, points)[0]
    source = copy.deepcopy(results)
    after = VirtualCamera((320, 96), fov=(45., 45.))(results)
    new = opencv_project(after, points)[0]
    # Corners of the window, as seen by the old camera, give the homography from four points.
    corners = np.array([[0, 0], [319, 0], [0, 95], [319, 95]], float)
    rays = np.concatenate([corners, np.ones((4, 1))], 1) @ np.linalg.inv(after['cam2img'][0]).T
    rotation = after['lidar2cam'][0][:3, :3] @ source['lidar2cam'][0][:3, :3].T
    seen = rays @ rotation @ source['cam2img'][0].T
    homography = cv2.getPerspectiveTransform((seen[:, :2] / seen[:, 2:]).astype(np.float32),
                                             corners.astype(np.float32))
    expected = cv2.perspectiveTransform(old[:, None], homography)[:, 0]
    np.testing.assert_allclose(new, expected, atol=2e-2)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.)


def test_the_window_looks_anywhere_in_the_image_and_never_beyond():
    transform, yaws, pitches = VirtualCamera((320, 96), fov=(45., 45.), pitch=2.), [], []
    for seed in range(200):
        source = _camera()
        source['imgs'][0][:] = 200
        source['rng'] = np.random.default_rng(seed)
        after = transform(source)
        yaw, pitch = _axis(after)
        yaws.append(yaw)
        pitches.append(pitch)
        assert after['imgs'][0].min() == 200  # a border would be replicated: check the corners too
        corners = np.array([[u, v, 1.] for u in (-.5, 319.5) for v in (-.5, 95.5)])
        rays = corners @ np.linalg.inv(after['cam2img'][0]).T @ after['lidar2cam'][0][:3, :3]
        seen = rays @ _camera()['cam2img'][0].T
        seen = seen[:, :2] / seen[:, 2:]
        assert (seen >= -0.5001).all() and (seen <= np.array([1241.5001, 374.5001])).all()
    # Half of 81.5 degrees of the image less half of the window's 45.
    assert -20 < min(yaws) < -15 and 15 < max(yaws) < 20
    assert np.std(yaws) > 8 and -2 <= min(pitches) < -1.5 and 1.5 < max(pitches) <= 2


def test_fov_is_between_its_limits_and_square_pixels():
    found = []
    for seed in range(100):
        results = _camera()
        results['rng'] = np.random.default_rng(seed)
        cam2img = VirtualCamera((320, 96), fov=(40., 70.))(results)['cam2img'][0]
        assert cam2img[0, 0] == cam2img[1, 1] and cam2img[0, 1] == 0
        assert cam2img[:2, 2].tolist() == [159.5, 47.5]
        found.append(np.degrees(2 * np.arctan(160 / cam2img[0, 0])))
    assert 40 <= min(found) < 43 and 67 < max(found) <= 70


def test_what_the_image_does_not_hold_becomes_the_largest_that_it_holds():
    after = VirtualCamera((320, 96), fov=(100., 100.))(_camera())
    fov = np.degrees(2 * np.arctan(160 / after['cam2img'][0, 0, 0]))
    # The principal point is 15 pixels above the middle: 173 pixels to the upper side are the limit.
    assert fov == pytest.approx(2 * np.degrees(np.arctan(173 / 721 * 320 / 96)), abs=0.01)


@pytest.mark.parametrize('top', [150, 173, 180])
def test_an_image_that_ends_beside_its_principal_point_is_refused(top):
    results = dict(_camera(), frame_id='000012')
    results['imgs'] = [results['imgs'][0][top:]]
    results['cam2img'][0, 1, 2] -= top
    with pytest.raises(BrokenFrameError, match='000012.*windows of 45 deg about the principal'):
        VirtualCamera((320, 96), fov=(45., 90.))(results)


def test_the_same_generator_gives_the_same_window():
    first, second = (VirtualCamera((320, 96))(_camera()) for _ in range(2))
    np.testing.assert_array_equal(first['lidar2cam'], second['lidar2cam'])


def test_warm_up_begins_with_wide_windows():
    def smallest(epoch):
        found = []
        for seed in range(60):
            results = dict(_camera(), rng=np.random.default_rng(seed), epoch=epoch)
            after = VirtualCamera((320, 96), fov=(40., 70.), warm_up=4)(results)
            found.append(np.degrees(2 * np.arctan(160 / after['cam2img'][0, 0, 0])))
        return min(found)

    assert smallest(0) == pytest.approx(70.)
    assert 55 <= smallest(2) < 58
    assert 40 <= smallest(4) < 43 and 40 <= smallest(9) < 43


def test_shrinking_averages_and_does_not_alias():
    """Stripes finer than the window's pixels become grey."""
    results = _camera()
    results['imgs'][0][:, ::2] = 255
    img = VirtualCamera((160, 48), fov=(70., 70.), pitch=0.)(results)['imgs'][0].astype(float)
    assert img.std() < 12 and 115 < img.mean() < 140


@pytest.mark.parametrize('settings', [dict(fov=(50., 40.)), dict(fov=(0., 40.)),
                                      dict(fov=(40., 180.)), dict(pitch=-1.), dict(warm_up=-1)])
def test_wrong_settings_are_told(settings):
    with pytest.raises(ValueError, match='VirtualCamera: expected'):
        VirtualCamera((320, 96), **settings)
    with pytest.raises(ValueError, match='VirtualCamera: expected size'):
        VirtualCamera((320.5, 96))
