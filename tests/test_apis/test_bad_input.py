"""Every way in which an image, a scan and intrinsics can be wrong is one sentence."""
import numpy as np
import pytest

from nclr_plugin.apis import CalibrationInputError, Calibrator, Intrinsics
from nclr_plugin.apis.scans import ScanChecker


@pytest.fixture
def refused(scene, save_network):
    """Function: what is changed of the input -> the message."""
    calibrator = Calibrator(save_network())

    def call(**changes):
        given = dict(image=scene.image, points=scene.points, cam2img=scene.cam2img, initial=None)
        with pytest.raises(CalibrationInputError) as error:
            calibrator(**{**given, **changes})
        message = str(error.value)
        assert '\n' not in message
        return message

    return call


def test_no_intrinsics(refused):
    assert 'expected the intrinsics [[fx, 0, cx]' in refused(cam2img=None)
    assert 'positive focal lengths' in refused(cam2img=np.zeros((3, 3)))
    assert 'expected a 3x3' in refused(cam2img=[[1., 2.]])


def test_four_coefficients_of_no_model(refused, scene):
    for coefficients in ([0.1, 0.2, 0, 0], np.zeros(4)):
        message = refused(cam2img=Intrinsics(scene.cam2img, coefficients))
        assert 'add distortion_model: plumb_bob or distortion_model: equidistant' in message
    assert "found 'omni'" in refused(cam2img=Intrinsics(scene.cam2img, None, None, 'omni'))


def test_an_image_of_another_size(refused, scene):
    from nclr_plugin.apis.intrinsics import make_intrinsics
    message = refused(cam2img=make_intrinsics(scene.cam2img, image_size=(600, 240)))
    assert 'expected 600 x 240 pixels' in message and 'found 300 x 120' in message
    for factor in (0.5, 2, 4):  # of an image so many times as large
        message = refused(cam2img=scene.cam2img * [[factor], [factor], [1]])
        assert f'found ({152. * factor}, {66. * factor})' in message
        assert 'another size' in message


def test_an_off_centre_camera_whose_image_is_known(scene):
    from nclr_plugin.apis.intrinsics import check_image, make_intrinsics
    cropped = scene.cam2img.copy()
    cropped[1, 2] = 10.
    check_image(scene.image, make_intrinsics(cropped, image_size=(300, 120)), 'image')


def test_no_image(refused, scene):
    assert 'expected RGB of shape (H, W, 3) uint8' in refused(image=scene.image[..., 0])
    assert 'found float64' in refused(image=scene.image / 255)
    assert 'found str' in refused(image='image.png')


def test_an_empty_scan(refused, scene):
    assert 'at least 500 points, found 0' in refused(points=np.zeros((0, 4), np.float32))
    assert 'found 499' in refused(points=scene.points[:499])
    assert f'found float32 of shape ({len(scene.points)}, 2)' in refused(points=scene.points[:, :2])
    assert 'found <U1' in refused(points=np.full((600, 3), 'x'))


def test_one_ring(refused, scene):
    ring = scene.points.copy()
    ring[:, 2] = np.hypot(ring[:, 0], ring[:, 1]) * np.tan(np.radians(-6))
    message = refused(points=ring)
    assert 'many rings, found elevations between -6.0 and -6.0 deg' in message


def test_points_all_behind_the_camera(refused, scene):
    ahead = scene.lidar2cam[2, :3] @ scene.points[:, :3].T > 2
    message = refused(points=scene.points[~ahead], initial=scene.lidar2cam)
    assert 'expected points of the scan in view, found none' in message
    assert 'are behind the camera' in message


def test_no_initial_guess_but_something_else(refused):
    assert 'initial lidar2cam' in refused(initial=np.ones((4, 4)))
    assert 'initial lidar2cam' in refused(initial=np.eye(2))


@pytest.mark.parametrize('scale, hint', [(1000., 'millimetres'), (100., 'centimetres'),
                                         (0.001, 'kilometres')])
def test_a_scan_in_other_units(refused, scene, scale, hint):
    points = scene.points.copy()
    points[:, :3] *= scale
    message = refused(points=points)
    assert 'expected metres' in message and hint in message


def test_intensities(refused, scene):
    points = scene.points.copy()
    points[:, 3] = scene.points[:, 3] * 1e6
    message = refused(points=points)
    assert 'intensities of 0..1, 0..255 or 0..65535, found 99% of them up to 9.' in message
    assert '--intensity-scale' in message
    points[:, 3] = -1
    message = refused(points=points)
    assert 'found -1 ... -1, which look like coordinates' in message and '--lidar-dim' in message
    bare = ScanChecker()(scene.points[:, :3])
    assert bare.shape == (len(scene.points), 4) and not bare[:, 3].any()
