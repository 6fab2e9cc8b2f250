"""From image, scan and intrinsics to a pose in the user's own coordinates."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from nclr_plugin.apis import CalibrationInputError, Calibrator, Intrinsics, calibrate
from nclr_plugin.apis.scans import level_rotation
from nclr_plugin.errors import CheckpointMismatchError


def angle(first, second):
    return np.degrees(Rotation.from_matrix(first[:3, :3].T @ second[:3, :3]).magnitude())


def project(points, lidar2cam, cam2img):
    homogeneous = (points @ lidar2cam[:3, :3].T + lidar2cam[:3, 3]) @ cam2img.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


def test_pose_and_matches_are_of_the_given_image_and_scan(scene, save_network):
    found = calibrate(scene.image, scene.points, scene.cam2img, save_network(), search=False)
    assert found.valid and found.reliable and found.inlier_ratio > 0.99
    assert angle(found.lidar2cam, scene.lidar2cam) < 1e-3
    np.testing.assert_allclose(found.lidar2cam[:3, 3], scene.lidar2cam[:3, 3], atol=1e-3)
    # Through resizing and trimming, and back.
    pixels = project(found.matches.points, scene.lidar2cam, scene.cam2img)
    np.testing.assert_allclose(found.matches.pixels, pixels, atol=1e-2)
    assert (found.matches.pixels[:, 1] >= 19).all() and found.matches.inliers.all()
    assert found.reprojection_error < 1e-2
    assert np.sqrt(np.diag(found.covariance))[3:].max() < 1e-3


def test_a_network_tested_by_virtual_cameras_calibrates_the_camera_itself(
        scene, save_network, config_text, tmp_path):
    resize, turn = "type='ResizeImages', size=(240, 60)", \
        "type='VirtualCamera', size=(240, 60), fov=(30., 30.)"
    assert resize in config_text
    (tmp_path / 'config.py').write_text(config_text.replace(resize, turn))
    found = Calibrator(save_network(), str(tmp_path / 'config.py'), search=False)(
        scene.image, scene.points, scene.cam2img)
    assert found.reliable and angle(found.lidar2cam, scene.lidar2cam) < 1e-3
    pixels = project(found.matches.points, scene.lidar2cam, scene.cam2img)
    np.testing.assert_allclose(found.matches.pixels, pixels, atol=1e-2)


def test_wrong_matches_are_told(scene, save_network):
    found = calibrate(scene.image, scene.points, scene.cam2img, save_network(wrong=0.3))
    assert found.inlier_ratio == pytest.approx(0.7, abs=0.03) and found.reliable
    assert found.matches.inliers.mean() == pytest.approx(found.inlier_ratio, abs=0.02)
    assert angle(found.lidar2cam, scene.lidar2cam) < 0.1


def test_it_says_when_it_does_not_know(scene, save_network):
    found = calibrate(scene.image, scene.points, scene.cam2img, save_network(wrong=1.))
    assert not found.reliable and not found.refined
    title_row = found.overlay()
    assert title_row.dtype == np.uint8 and title_row.ndim == 3


def off_by(pose, degrees, metres):
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(degrees, degrees=True).as_matrix()
    turn[:3, 3] = metres
    return turn @ pose


def test_a_pose_nearby_is_refined(scene, save_network):
    near = off_by(scene.lidar2cam, [0.8, -1., 0.3], [0.3, 0.1, -0.4])
    path = save_network(truth=near)
    found = calibrate(scene.image, scene.points, scene.cam2img, path)
    assert found.refined and found.reliable and found.edge_lead > 5
    assert angle(found.lidar2cam, scene.lidar2cam) < 0.5 < angle(near, scene.lidar2cam)
    assert np.linalg.norm((found.lidar2cam - scene.lidar2cam)[:3, 3]) < 0.25
    assert found.inlier_ratio == found.matches.inliers.mean() < 1  # of the new pose
    left = calibrate(scene.image, scene.points, scene.cam2img, path,
                     search=False)
    assert not left.refined and not left.reliable and left.inlier_ratio > 0.99
    assert angle(left.lidar2cam, near) < 0.01
    for image in (scene.other_image, scene.image[::-1].copy()):
        other = calibrate(image, scene.points, scene.cam2img, path)
        assert not other.reliable and angle(other.lidar2cam, near) < 0.01


def test_a_camera_far_from_the_scan_is_no_rigs(scene, save_network):
    calibrator = Calibrator(save_network(), search=False)
    away = scene.points.copy()
    away[:, 0] += 20  # and the pose with it
    calibrator.model.truth = torch.as_tensor(scene.lidar2cam.copy())
    calibrator.model.truth[:3, 3] -= 20 * calibrator.model.truth[:3, 0]
    found = calibrator(scene.image, away, scene.cam2img)
    assert found.valid and found.edge_lead > 5 and found.inlier_ratio > 0.99
    assert found.photometric_consistency > 0.3 and not found.reliable


def test_few_right_matches_are_enough_to_begin_from(scene, save_network):
    found = calibrate(scene.image, scene.points, scene.cam2img, save_network(wrong=0.7))
    assert found.reliable and found.inlier_ratio < 0.5
    assert angle(found.lidar2cam, scene.lidar2cam) < 0.5


def test_the_second_belief_is_tried(scene, save_network):
    """A network that first believes in the opposite direction."""
    calibrator = Calibrator(save_network())
    model, tried, shares = calibrator.model, [], torch.tensor([[0.6, 0.2]])
    truth = scene.lidar2cam @ np.diag([-1., -1., 1., 1.]), scene.lidar2cam
    forward = model.forward

    def believing(*args, hypothesis=0, **kwargs):
        tried.append(hypothesis)
        model.truth = torch.as_tensor(truth[hypothesis])
        sample, = forward(*args, **kwargs)
        sample.pred_yaw_probs = shares
        return [sample]

    model.forward = believing
    found = calibrator(scene.image, scene.points, scene.cam2img)
    assert tried == [0, 1] and found.reliable
    assert angle(found.lidar2cam, scene.lidar2cam) < 0.1
    truth = truth[::-1]
    tried.clear()
    assert calibrator(scene.image, scene.points, scene.cam2img).reliable and tried == [0]
    tried.clear()
    left = calibrator(scene.other_image, scene.points, scene.cam2img)
    assert tried == [0, 1] and not left.reliable
    assert angle(left.lidar2cam, truth[0]) < 1e-3  # what is believed most
    tried.clear()
    shares[0, 1] = 0.01  # nothing to speak of
    calibrator(scene.other_image, scene.points, scene.cam2img)
    assert tried == [0]


def test_matches_that_agree_on_an_image_of_another_place(scene, save_network):
    calibrator = Calibrator(save_network())
    own = calibrator(scene.image, scene.points, scene.cam2img)
    other = calibrator(scene.other_image, scene.points, scene.cam2img)
    assert own.inlier_ratio == other.inlier_ratio > 0.99
    assert own.reliable and own.photometric_consistency > 0.3 and own.edge_lead > 5
    assert not other.reliable and abs(other.photometric_consistency) < 0.1


def test_least_values_of_a_reliable_pose(scene, save_network):
    path = save_network(wrong=0.3)
    for limits in (dict(min_edge_lead=50.), dict(min_consistency=2.)):
        assert not Calibrator(path, search=False, **limits)(
            scene.image, scene.points, scene.cam2img).reliable


def test_without_any_pose(scene, save_network):
    behind = scene.lidar2cam.copy()
    behind[:3] = np.diag([1, -1, -1]) @ behind[:3]
    behind[2, 3] = -100  # sees nothing
    found = calibrate(scene.image, scene.points, scene.cam2img, save_network(truth=behind))
    assert not found.valid and not found.reliable and found.inlier_ratio == 0
    assert np.isnan(found.reprojection_error) and np.isinf(np.diag(found.covariance)).all()
    assert (found.lidar2cam == np.eye(4)).all() and len(found.matches.points) == 0
    assert found.overlay().shape[2] == 3


def test_a_lidar_on_its_side_is_stood_up_by_the_guess(scene, save_network):
    tilt = Rotation.from_euler('xy', [95, 20], degrees=True).as_matrix()
    points = scene.points.copy()
    points[:, :3] = points[:, :3] @ tilt.T  # as the tilted sensor has them
    truth = scene.lidar2cam.copy()
    truth[:3, :3] = truth[:3, :3] @ tilt.T
    guess = truth.copy()
    guess[:3, :3] = Rotation.from_euler('y', 4, degrees=True).as_matrix() @ guess[:3, :3]
    guess[:3, 3] += 0.2
    # What the network has to see: x along the optical axis of the guess, y to its left, z up.
    stood_up = scene.axes.T @ guess[:3, :3]
    known = truth.copy()
    known[:3, :3] = truth[:3, :3] @ stood_up.T
    calibrator = Calibrator(save_network(truth=known), search=False)
    found = calibrator(scene.image, points, scene.cam2img, guess)
    assert angle(found.lidar2cam, truth) < 1e-3
    np.testing.assert_allclose(found.lidar2cam[:3, 3], truth[:3, 3], atol=1e-3)
    np.testing.assert_allclose(found.matches.pixels,
                               project(found.matches.points, truth, scene.cam2img), atol=1e-2)
    heights = calibrator.model.seen.voxels.points[:, 2]
    assert heights.max() - heights.min() < 1.6 * np.ptp(scene.points[:, 2])
    assert (found.initial == guess).all()
    assert found.overlay(truth).shape[0] > found.overlay().shape[0]


@pytest.mark.parametrize('mounting', [[0, 0, 0], [180, 0, 0], [90, 0, 0], [0, 90, 0]])
def test_the_ground_levels_what_a_guess_leaves_tilted(scene, save_network, mounting):
    """The network gets a level scan; the pose is one of the scan as given."""
    rng = np.random.default_rng(1)
    ground = np.column_stack([rng.uniform(-20, 20, (6000, 2)), rng.normal(-3.5, 0.02, 6000),
                              rng.uniform(0, 1, 6000)]).astype(np.float32)
    above = scene.points[scene.points[:, 2] > -3.4]
    turn = Rotation.from_euler('xyz', mounting, degrees=True).as_matrix()
    points, truth = np.concatenate((ground, above)), scene.lidar2cam.copy()
    points[:, :3] = points[:, :3] @ turn.T
    truth[:3, :3] = truth[:3, :3] @ turn.T
    guess = truth.copy()  # off in yaw, pitch and roll about the axes of the camera
    guess[:3, :3] = Rotation.from_euler(
        'yxz', [6, 3, 2], degrees=True).as_matrix() @ guess[:3, :3]
    calibrator = Calibrator(save_network(), search=False)
    calibrator(scene.image, points, scene.cam2img, guess)
    heights = calibrator.model.seen.voxels.points[:, 2].numpy()
    assert ((heights > -3.7) & (heights < -3.3)).sum() > 2000 and heights.min() > -3.8

    # In the frame that the network got, the truth is the pose that it is to answer.
    seen = calibrator.model.seen.voxels.points[:, :3].double().numpy()
    rough = points[:, :3] @ (scene.axes.T @ guess[:3, :3]).T
    level = level_rotation(rough)
    up = scene.axes.T @ guess[:3, :3] @ turn[:, 2]
    assert up[2] < np.cos(np.radians(3)) and (level @ up)[2] > np.cos(np.radians(0.2))
    assert np.median(cKDTree(rough @ level.T).query(seen)[0]) < 0.1
    known = truth.copy()
    known[:3, :3] = truth[:3, :3] @ (level @ scene.axes.T @ guess[:3, :3]).T
    found = Calibrator(save_network(truth=known), search=False)(
        scene.image, points, scene.cam2img, guess)
    assert angle(found.lidar2cam, truth) < 1e-2
    np.testing.assert_allclose(found.lidar2cam[:3, 3], truth[:3, 3], atol=1e-2)
    np.testing.assert_allclose(found.matches.pixels,
                               project(found.matches.points, truth, scene.cam2img), atol=0.1)


@pytest.mark.parametrize('mounting', [[180, 0, 0], [90, 0, 0], [0, 0, 180]])
@pytest.mark.parametrize('off, agrees', [(20, True), (40, False)])
def test_an_answer_far_from_the_guess_is_not_reliable(scene, save_network, mounting, off, agrees):
    turn = Rotation.from_euler('xyz', mounting, degrees=True).as_matrix()
    points, truth = scene.points.copy(), scene.lidar2cam.copy()
    points[:, :3] = points[:, :3] @ turn.T
    truth[:3, :3] = truth[:3, :3] @ turn.T
    guess = truth.copy()
    guess[:3, :3] = Rotation.from_euler('y', off, degrees=True).as_matrix() @ guess[:3, :3]
    known = truth.copy()  # in the frame that the network sees
    known[:3, :3] = truth[:3, :3] @ (scene.axes.T @ guess[:3, :3]).T
    found = calibrate(scene.image, points, scene.cam2img, save_network(truth=known), guess)
    assert angle(found.lidar2cam, truth) < 0.1 and found.photometric_consistency > 0.3
    assert found.reliable is found.refined is agrees and found.contradicts_initial is not agrees
    assert not calibrate(scene.image, scene.points, scene.cam2img,
                         save_network()).contradicts_initial


@pytest.fixture
def surfaces(scene):
    """The scene without intensities: surfaces are told by their depths, in an image with noise."""
    in_camera = scene.points[:, :3] @ scene.lidar2cam[:3, :3].T + scene.lidar2cam[:3, 3]
    ahead = in_camera[:, 2] > 1
    pixels = project(scene.points[ahead, :3], scene.lidar2cam, scene.cam2img)
    grid = np.stack(np.meshgrid(np.arange(scene.width), np.arange(scene.height)), -1)
    depth = in_camera[ahead, 2][cKDTree(pixels).query(grid.reshape(-1, 2))[1]]
    depth = depth.reshape(scene.height, scene.width, 1)
    rng = np.random.default_rng(0)
    image = 128 + 100 * np.log(depth / 12) + rng.normal(0, 12, (scene.height, scene.width, 1))
    return np.repeat(image.clip(0, 255), 3, 2).astype(np.uint8)


@pytest.mark.parametrize('intensity', [None, 0., 0.5])
def test_scans_without_intensities_have_a_limit_of_their_own(scene, surfaces, save_network,
                                                             intensity):
    points = scene.points[:, :3]
    if intensity is not None:
        points = np.pad(points, ((0, 0), (0, 1)), constant_values=intensity)
    calibrator = Calibrator(save_network())
    found = calibrator(surfaces, points, scene.cam2img)
    assert found.reliable and angle(found.lidar2cam, scene.lidar2cam) < 0.5
    for image in (scene.other_image, surfaces[::-1].copy(), surfaces[:, ::-1].copy()):
        other = calibrator(image, points, scene.cam2img)
        assert not other.reliable and not other.refined


def test_distortion_is_taken_out(scene, save_network):
    calibrator = Calibrator(save_network())
    cv2 = pytest.importorskip('cv2')
    coefficients = np.array([-0.2, 0.05, 0.001, 0.002, 0.])
    found = calibrator(scene.image, scene.points, Intrinsics(scene.cam2img, coefficients))
    expected = cv2.undistort(scene.image, scene.cam2img, coefficients)
    np.testing.assert_array_equal(found.image, expected)
    assert (expected != scene.image).any()
    seen = calibrator.model.seen.imgs
    plain = calibrator(scene.image, scene.points, scene.cam2img)
    assert (plain.image == scene.image).all()
    assert not torch.equal(seen, calibrator.model.seen.imgs)


def test_a_fisheye_is_undistorted_by_its_own_model(scene, save_network):
    cv2 = pytest.importorskip('cv2')
    coefficients = np.array([0.1, -0.02, 0.004, 0.])
    camera = Intrinsics(scene.cam2img, coefficients, (scene.width, scene.height), 'equidistant')
    found = Calibrator(save_network())(scene.image, scene.points, camera)
    expected = cv2.fisheye.undistortImage(scene.image, scene.cam2img, coefficients,
                                          Knew=scene.cam2img)
    np.testing.assert_array_equal(found.image, expected)
    assert (expected != cv2.undistort(scene.image, scene.cam2img, coefficients)).any()


@pytest.mark.parametrize('yaw', [0, 140, -130])
def test_portrait_and_backward_looking_cameras(scene, save_network, yaw):
    """The scene's camera looks 40 degrees to the side; 140 more, and it looks backwards."""
    truth = scene.lidar2cam.copy()
    truth[:3, :3] = truth[:3, :3] @ Rotation.from_euler('z', -yaw, degrees=True).as_matrix()
    portrait = np.random.default_rng(0).integers(0, 256, (300, 120, 3), dtype=np.uint8)
    cam2img = np.array([[170., 0, 58], [0, 180, 152], [0, 0, 1]])
    found = calibrate(portrait, scene.points, cam2img, save_network(truth=truth), search=False)
    assert found.valid and angle(found.lidar2cam, truth) < 1e-2
    np.testing.assert_allclose(found.lidar2cam[:3, 3], truth[:3, 3], atol=1e-2)
    np.testing.assert_allclose(found.matches.pixels,
                               project(found.matches.points, truth, cam2img), atol=1e-2)


def test_a_guess_that_looks_inverted_is_warned_of(scene, save_network, warned):
    calibrator = Calibrator(save_network(), search=False)
    camera = Intrinsics(scene.cam2img, None, (scene.width, scene.height))
    calibrator(scene.image, scene.points, camera, scene.lidar2cam)
    assert not warned
    calibrator(scene.image, scene.points, camera, np.linalg.inv(scene.lidar2cam))
    assert len(warned) == 1 and warned[0].startswith('initial guess: lidar2cam looks wrong')
    assert 'is it cam2lidar?' in warned[0]


def test_cameras_of_one_scan_together(scene, save_network):
    # The image does not fit the second camera, for which a search would find another pose.
    calibrator = Calibrator(save_network(), search=False)
    other = scene.cam2img * [[1.1], [1.1], [1]]
    found = calibrator([scene.image, scene.image], scene.points, [scene.cam2img, other])
    assert len(found) == 2 and calibrator.model.seen.imgs.shape[0] == 2
    for result, cam2img in zip(found, (scene.cam2img, other)):
        assert angle(result.lidar2cam, scene.lidar2cam) < 1e-3
        np.testing.assert_allclose(result.matches.pixels, project(
            result.matches.points, scene.lidar2cam, cam2img), atol=1e-2)
    with pytest.raises(CalibrationInputError, match='found 2, 1 and 2'):
        calibrator([scene.image, scene.image], scene.points, [scene.cam2img])


def test_a_config_file_for_a_checkpoint_without_one(scene, save_network, config_text,
                                                    tmp_path):
    path = save_network(meta=False)
    with pytest.raises(CalibrationInputError, match=r'network.pth.*found none; give its file'):
        Calibrator(path)
    (tmp_path / 'config.py').write_text(config_text)
    assert Calibrator(path, str(tmp_path / 'config.py'))(
        scene.image, scene.points, scene.cam2img).reliable


def test_a_config_that_cannot_be_read(tmp_path):
    path = tmp_path / 'network.pth'
    for text in ('model = <object>', 'import absent'):
        torch.save(dict(meta=dict(cfg=text), state_dict={}), path)
        with pytest.raises(CalibrationInputError, match=r"network.pth': expected a config with"):
            Calibrator(str(path))


@pytest.mark.parametrize('change, found', [
    (('data_preprocessor=', 'gone=1, data_preprocessor='), 'gone'),
    (("type='KnownPose'", "type='Unknown'"), 'Unknown')])
def test_a_config_of_another_version(config_text, tmp_path, change, found):
    path = tmp_path / 'network.pth'
    torch.save(dict(meta=dict(cfg=config_text.replace(*change)), state_dict={}), path)
    with pytest.raises(CalibrationInputError, match=rf"network.pth': .* be built \(.*{found}"):
        Calibrator(str(path))


def test_checkpoints_of_something_else_are_refused(config_text, tmp_path):
    torch.save(dict(meta=dict(cfg=config_text), state_dict=dict(truth=torch.eye(3))),
               tmp_path / 'other.pth')
    with pytest.raises(CheckpointMismatchError, match='0 of the 2 tensors of KnownPose'):
        Calibrator(str(tmp_path / 'other.pth'))
    text = "model = dict(type='ImgDataPreprocessor')\n"
    torch.save(dict(meta=dict(cfg=text), state_dict={}), tmp_path / 'other.pth')
    with pytest.raises(CalibrationInputError, match='expected a calibration network'):
        Calibrator(str(tmp_path / 'other.pth'))
    with pytest.raises(FileNotFoundError):
        Calibrator(str(tmp_path / 'none.pth'))


def test_a_scan_out_of_the_range_of_the_network(scene, save_network):
    far = scene.points.copy()
    far[:, :3] *= 6
    with pytest.raises(CalibrationInputError, match=r"'the given scan': expected points in \[-50"):
        calibrate(scene.image, far[np.linalg.norm(far[:, :3], axis=1) > 75], scene.cam2img,
                  save_network())
