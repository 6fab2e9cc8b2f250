"""Scans as drivers write them, behind ``load_scan`` and ``Calibrator``."""
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nclr_plugin.apis import CalibrationInputError, Calibrator, load_scan
from nclr_plugin.apis import scans as scans_module
from nclr_plugin.apis.scans import ScanChecker, level_rotation


@pytest.fixture
def logged(log_of):
    return log_of(scans_module)


def mixed(points, rows):
    places = np.sort(np.random.default_rng(0).integers(1, len(points) + 1, len(rows)))
    return np.insert(points, places, rows, axis=0).astype(np.float32)


@pytest.mark.parametrize('ratio, rows', [
    (0.8, np.zeros((1, 4))), (0.5, np.full((1, 4), np.nan)),
    (0.5, np.array([[3, 1, -np.inf, 0.5]])),
    (0.3, np.random.default_rng(0).uniform(-0.1, 0.1, (20000, 4)) + [0, 0, 0, 0.5]),
], ids=['zeros', 'nan', '-inf', 'cover'])
def test_the_answer_is_that_of_the_scan_without_them(scene, save_network, logged, ratio, rows):
    rows = np.resize(rows, (round(ratio * len(scene.points)), 4))
    calibrator = Calibrator(save_network(), device='cpu')
    expected = calibrator(scene.image, scene.points, scene.cam2img)
    assert not logged
    for _ in range(2):
        found = calibrator(scene.image, mixed(scene.points, rows), scene.cam2img)
    np.testing.assert_array_equal(found.scan, expected.scan)
    assert found.lidar2cam.tolist() == expected.lidar2cam.tolist()
    assert found.photometric_consistency == expected.photometric_consistency and found.reliable
    line, = logged  # once, not for every scan
    assert f'{len(rows)} of {len(rows) + len(scene.points)} rows are no measurement' in line


def test_repeated_points_change_nothing(scene, save_network):
    calibrator = Calibrator(save_network(), device='cpu')
    expected = calibrator(scene.image, scene.points, scene.cam2img)
    found = calibrator(scene.image, np.tile(scene.points, (3, 1)), scene.cam2img)
    np.testing.assert_array_equal(found.scan, expected.scan)
    assert found.lidar2cam.tolist() == expected.lidar2cam.tolist()


def test_zero_rows_are_the_reason_not_the_units(scene):
    rows = mixed(scene.points[:400], np.zeros((5600, 4)))
    with pytest.raises(CalibrationInputError) as error:
        ScanChecker()(rows)
    assert str(error.value) == (
        'scan: expected at least 500 points, found 400; 5600 of 6000 rows are no measurement: '
        '5600 at the origin (0, 0, 0).')
    with pytest.raises(CalibrationInputError, match='found 0; 600 of 600 rows .*origin'):
        ScanChecker()(np.zeros((600, 4)))
    with pytest.raises(CalibrationInputError, match='found 0; 600 of 600 rows .*NaN or infinity'):
        ScanChecker()(np.full((600, 4), np.nan))
    with pytest.raises(CalibrationInputError, match='found 1; 599 of 600 rows .*repeat an earlier'):
        ScanChecker()(np.tile(scene.points[:1], (600, 1)))


def test_points_on_the_cover_are_not_the_units_either(scene):
    cover = np.random.default_rng(0).uniform(-0.1, 0.1, (7000, 4)) + [0, 0, 0, 0.5]
    np.testing.assert_allclose(ScanChecker()(mixed(scene.points, cover)), scene.points)


def test_a_nuscenes_scan_read_with_four_columns(shared_data):
    path = str(next((shared_data / 'nuscenes_frame/samples/LIDAR_TOP').glob('*.bin')))
    with pytest.raises(CalibrationInputError, match='repeat as rows of 5 do; .*--lidar-dim'):
        load_scan(path)
    points = ScanChecker()(load_scan(path, 5))
    assert points.shape[1] == 4 and 0.2 < np.percentile(points[:, 3], 99) < 1
    assert np.linalg.norm(points[:, :3], axis=1).min() > 0.3


@pytest.mark.parametrize('largest', [255, 65535])
def test_intensities_are_told_by_what_they_are(scene, logged, largest):
    raw = scene.points * np.array([1, 1, 1, largest], np.float32)
    check = ScanChecker()
    for _ in range(2):
        np.testing.assert_allclose(check(raw), scene.points, atol=1e-6)
    line, = logged
    assert f'they are taken as 0..{largest}' in line and 'not known' in line
    np.testing.assert_allclose(ScanChecker(trained_scale=1.)(raw), scene.points, atol=1e-6)
    assert 'that of the training is 1.0' in logged[1]


def test_single_bright_points_do_not_darken_the_others(scene, logged):
    points = scene.points.copy()
    points[7, 3] = 1.0039
    found = ScanChecker()(points)
    np.testing.assert_array_equal(np.delete(found, 7, 0), np.delete(points, 7, 0))
    assert found[7, 3] == 1 and not logged


def test_the_scale_that_is_told_is_used(scene):
    raw = scene.points * np.array([1, 1, 1, 100], np.float32)
    np.testing.assert_allclose(ScanChecker(0.01)(raw), scene.points, atol=1e-6)
    np.testing.assert_allclose(ScanChecker(1 / 255)(raw)[:, 3], raw[:, 3] / 255, atol=1e-6)
    with pytest.raises(CalibrationInputError, match=r'99% of them up to 9\d.*0.003921569 would'):
        ScanChecker(1.)(raw)


@pytest.mark.parametrize('scale', [0., -1., np.inf, np.nan])
def test_what_is_no_scale_is_refused(scale):
    with pytest.raises(CalibrationInputError, match='expected a number above 0'):
        ScanChecker(scale)


def test_the_scale_of_the_training_is_used_where_it_fits(scene, logged):
    raw = scene.points * np.array([1, 1, 1, 100], np.float32)
    np.testing.assert_allclose(ScanChecker(None, 0.01)(raw), scene.points, atol=1e-6)
    dark = scene.points * np.array([1, 1, 1, 0.9], np.float32)  # by its looks a fraction
    np.testing.assert_allclose(ScanChecker(None, 0.5)(dark)[:, 3], dark[:, 3] / 2, atol=1e-6)
    assert not logged
    np.testing.assert_allclose(ScanChecker(None, 1 / 255)(scene.points), scene.points)
    assert 'taken as 0..1 ' in logged[0] and 'training is 0.0039' in logged[0]


def test_a_checkpoint_brings_the_scale_of_its_training(scene, save_network):
    path = save_network()
    content = torch.load(path)
    content['meta']['dataset_meta'] = dict(intensity_scale=0.01)
    torch.save(content, path)
    raw = scene.points * np.array([1, 1, 1, 100], np.float32)
    found = Calibrator(path, device='cpu')(scene.image, raw, scene.cam2img)
    np.testing.assert_allclose(found.scan, scene.points, atol=1e-6)
    told = Calibrator(path, device='cpu', intensity_scale=0.005)
    found = told(scene.image, raw, scene.cam2img)
    np.testing.assert_allclose(found.scan[:, 3], scene.points[:, 3] / 2, atol=1e-6)


def test_files_keep_their_rows_for_the_check(tmp_path, scene):
    rows = mixed(scene.points, np.full((9, 4), np.nan))
    np.save(tmp_path / 'a.npy', rows)
    (tmp_path / 'a.npy').rename(tmp_path / 'A.NPY')
    found = load_scan(str(tmp_path / 'A.NPY'))
    np.testing.assert_array_equal(found, rows)
    np.testing.assert_allclose(ScanChecker()(found), scene.points)
    with pytest.raises(CalibrationInputError, match="none.bin': expected a file, found none"):
        load_scan(str(tmp_path / 'none.bin'))


def street(height=1.7, half_width=20., below=0):
    """Points of a flat street between two walls, about a sensor at some height over it."""
    rng = np.random.default_rng(0)
    ground = np.column_stack([
        rng.uniform(-24, 24, 8000), rng.uniform(-half_width, half_width, 8000),
        rng.normal(-height, 0.02, 8000)])
    walls = np.column_stack([rng.uniform(-24, 24, 3000), rng.choice([-1, 1], 3000) * 8.,
                             rng.uniform(-height, 4, 3000)])
    pits = rng.uniform([-24, -half_width, -height - 4], [24, half_width, -height - 1], (below, 3))
    return np.concatenate((ground, walls, pits))


@pytest.mark.parametrize('tilt', [[0, 0, 0], [3, 2, 40], [-6, 9, 100], [0, -12, 200]])
def test_a_tilted_scan_is_levelled_by_its_ground(tilt):
    turn = Rotation.from_euler('xyz', tilt, degrees=True)
    found = level_rotation(turn.apply(street()))
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(found) == pytest.approx(1)
    normal = turn.apply([0, 0, 1])
    assert np.degrees(np.arccos((found @ normal)[2])) < 0.2
    # The smallest such rotation: it leaves the heading alone.
    angle = np.degrees(np.arccos(normal[2]))
    assert np.degrees(Rotation.from_matrix(found).magnitude()) == pytest.approx(angle, abs=0.2)


@pytest.mark.parametrize('points', [
    street()[:100], street(height=0.2), street(half_width=0.5)[:8000], street(below=2000),
    street() @ Rotation.from_euler('x', 20, degrees=True).as_matrix().T,
    np.random.default_rng(0).uniform(-20, 20, (9000, 3)), street()[8000:],
], ids=['few points', 'low sensor', 'a strip', 'much below', '20 deg', 'no plane', 'walls'])
def test_without_a_ground_nothing_is_levelled(points):
    assert level_rotation(points) is None
