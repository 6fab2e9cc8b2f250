import cv2
import numpy as np
import pytest
from mmengine.registry import TASK_UTILS

from nclr_plugin.datasets import CalibrationDataset, KittiObjectReader, KittiOdometryReader


def test_odometry_counts_both_translations(kitti_odometry):
    frames = KittiOdometryReader(['00']).read(str(kitti_odometry.root))
    image = frames[0]['images'][0]
    expected = np.eye(4)
    expected[:3, :3] = kitti_odometry.axes
    expected[:3, 3] = kitti_odometry.lever + kitti_odometry.shift
    np.testing.assert_allclose(image['lidar2cam'], expected, atol=1e-9)
    np.testing.assert_allclose(image['cam2img'], kitti_odometry.cam2img)


def test_odometry_lists_frames_of_the_sequences_in_order(kitti_odometry):
    frames = KittiOdometryReader(['01', '00']).read(str(kitti_odometry.root))
    assert [frame['frame_id'] for frame in frames] == [
        '01/000000', '01/000001', '00/000000', '00/000001', '00/000002', '00/000003']
    assert frames[0]['lidar_path'].endswith('01/velodyne/000000.bin')
    assert frames[0]['images'][0]['img_path'].endswith('01/image_2/000000.png')
    assert frames[0]['lidar_dim'] == 4 and frames[0]['images'][0]['name'] == 'image_2'


def test_odometry_takes_a_list(kitti_odometry):
    (kitti_odometry.root / 'few.txt').write_text('00/000002\n01/000001\n')
    reader = TASK_UTILS.build(
        dict(type='KittiOdometryReader', sequences=['00', '01'], frame_list='few.txt'))
    frames = reader.read(str(kitti_odometry.root))
    assert [frame['frame_id'] for frame in frames] == ['00/000002', '01/000001']


@pytest.mark.parametrize('entry', ['02/000001', '000001', '00/'])
def test_odometry_list_must_name_frames_of_its_sequences(kitti_odometry, entry):
    (kitti_odometry.root / 'few.txt').write_text(entry + '\n')
    with pytest.raises(ValueError, match=f"few.txt': expected frames.*found '{entry}'"):
        KittiOdometryReader(['00'], frame_list='few.txt').read(str(kitti_odometry.root))


def test_odometry_names_a_listed_frame_that_is_absent(kitti_odometry):
    (kitti_odometry.root / 'few.txt').write_text('00/000002\n00/000009\n')
    with pytest.raises(FileNotFoundError, match=r'misses 1 \(000009\)'):
        KittiOdometryReader(['00'], frame_list='few.txt').read(str(kitti_odometry.root))


def test_data_root_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'gone/sequences.*does not exist.*set data_root'):
        KittiOdometryReader(['00']).read(str(tmp_path / 'gone'))
    with pytest.raises(FileNotFoundError, match=r'gone/training.*does not exist.*set data_root'):
        KittiObjectReader().read(str(tmp_path / 'gone'))


def test_unknown_sequence_is_named_beside_those_there(kitti_odometry):
    with pytest.raises(FileNotFoundError, match=r"sequence '07' is unknown.*\['00', '01'\]"):
        KittiOdometryReader(['00', '07']).read(str(kitti_odometry.root))


def test_image_and_scan_counts_must_agree(kitti_odometry):
    (kitti_odometry.root / 'sequences/00/image_2/000001.png').unlink()
    reader = KittiOdometryReader(['00'])
    with pytest.raises(FileNotFoundError) as error:
        reader.read(str(kitti_odometry.root))
    assert "velodyne' has 4 files and misses none" in str(error.value)
    assert "image_2' has 3 files and misses 1 (000001)" in str(error.value)
    assert len(reader.read(str(kitti_odometry.root), keep_unpaired=True)) == 4


@pytest.mark.parametrize('text, match', [
    ('P0: 1', r"expected a line 'Tr_velo_to_cam .* or Tr: ...' with 12 numbers, .*\['P0'\]"),
    ('Tr: 1 0 0 0 0 1 0 0 0 0 1 0', "expected a line 'P2 or P_rect_02: ...'"),
    ('Tr: 1 0 0', "expected 12 finite numbers after 'Tr:', found 3"),
    ('Tr: 2 0 0 0 0 2 0 0 0 0 2 0\nP2: 9 0 5 0 0 9 5 0 0 0 1 0', 'P2: expected a rotation'),
    ('Tr: 1 0 0 0 0 1 0 0 0 0 1 0\nP2: 0 0 5 0 0 9 5 0 0 0 1 0', 'P2: expected intrinsics'),
])
def test_incomplete_calibration_is_refused(kitti_odometry, text, match):
    path = kitti_odometry.root / 'sequences/00/calib.txt'
    path.write_text(text + '\n')
    with pytest.raises(ValueError, match=r"sequences/00/calib.txt'.*" + match):
        KittiOdometryReader(['00']).read(str(kitti_odometry.root))


def test_absent_calibration_is_named(kitti_odometry):
    (kitti_odometry.root / 'sequences/00/calib.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r"calib.txt' does not exist.*P2 and Tr"):
        KittiOdometryReader(['00']).read(str(kitti_odometry.root))


@pytest.mark.parametrize('reader', [
    lambda: KittiOdometryReader(['00'], cameras=['image_4']),
    lambda: KittiObjectReader(cameras=['left']),
])
def test_unknown_camera_is_refused(reader):
    with pytest.raises(ValueError, match=r"is unknown: expected some of \['image_0'"):
        reader()


@pytest.fixture
def kitti_object(tmp_path, disk):
    """Two frames with different calibrations, a rectifying rotation of 1 degree."""
    angle = np.radians(1)
    rectify = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)],
                        [0, np.sin(angle), np.cos(angle)]])
    root = tmp_path / 'training'
    for index, focal in enumerate((60., 70.)):
        cam2img = np.array([[focal, 0, 58.], [0, focal, 22.], [0, 0, 1]])
        disk.write_calibration(
            root / f'calib/{index:06d}.txt', R0_rect=rectify,
            P2=cam2img @ np.column_stack([np.eye(3), [0.06, 0.01, 0.003]]),
            Tr_velo_to_cam=np.column_stack([disk.axes, [-0.02, -0.08, -0.27]]))
        disk.write_scan(root / f'velodyne/{index:06d}.bin', seed=index)
        disk.write_image(root / f'image_2/{index:06d}.png', seed=index)
    return tmp_path, rectify


def test_object_rectifies_between_laser_and_camera(kitti_object, disk):
    root, rectify = kitti_object
    frames = KittiObjectReader().read(str(root))
    assert [frame['frame_id'] for frame in frames] == ['000000', '000001']
    assert [frame['images'][0]['cam2img'][0, 0] for frame in frames] == [60, 70]
    expected = rectify @ disk.axes
    np.testing.assert_allclose(frames[0]['images'][0]['lidar2cam'][:3, :3], expected, atol=1e-9)
    translation = rectify @ [-0.02, -0.08, -0.27] + [0.06, 0.01, 0.003]
    np.testing.assert_allclose(frames[0]['images'][0]['lidar2cam'][:3, 3], translation, atol=1e-9)


def test_object_takes_a_list(kitti_object):
    root, _ = kitti_object
    (root / 'train.txt').write_text('000001\n')
    frames = KittiObjectReader(frame_list='train.txt').read(str(root))
    assert [frame['frame_id'] for frame in frames] == ['000001']


def test_object_names_an_absent_or_incomplete_calibration(kitti_object):
    root, _ = kitti_object
    path = root / 'training/calib/000001.txt'
    path.write_text('P2: ' + ' '.join(['1'] * 12))
    with pytest.raises(ValueError, match="calib/000001.txt': expected a line 'Tr_velo_to_cam"):
        KittiObjectReader().read(str(root))
    path.unlink()
    with pytest.raises(FileNotFoundError, match="calib/000001.txt' does not exist"):
        KittiObjectReader().read(str(root))


def test_real_odometry_calibration_is_the_official_product(shared_data):
    root = shared_data / 'kitti_odometry'
    frames = KittiOdometryReader(['90']).read(str(root))
    assert len(frames) == 20 and frames[1]['frame_id'] == '90/000004'
    lines = dict(line.split(':') for line in
                 (root / 'sequences/90/calib.txt').read_text().strip().split('\n'))
    matrices = {name: np.array(text.split(), float).reshape(3, 4) for name, text in lines.items()}
    points = np.random.default_rng(0).uniform([5, -5, -2], [40, 5, 2], (100, 3))
    expected = (matrices['P2'] @ np.vstack([matrices['Tr'], [0, 0, 0, 1]])
                @ np.column_stack([points, np.ones(100)]).T)
    image = frames[0]['images'][0]
    found, _ = cv2.projectPoints(points, cv2.Rodrigues(image['lidar2cam'][:3, :3])[0],
                                 image['lidar2cam'][:3, 3], image['cam2img'], None)
    np.testing.assert_allclose(found[:, 0], (expected[:2] / expected[2]).T, atol=1e-2)


def test_real_object_frames_have_their_own_calibration(shared_data):
    frames = KittiObjectReader().read(str(shared_data / 'kitti_object'))
    focals = [round(frame['images'][0]['cam2img'][0, 0], 1) for frame in frames]
    assert len(frames) == 20 and focals[0] == 707.0 and focals[6] == focals[15] == 718.3
    assert set(focals) == {707.0, 718.3, 721.5}
    assert len({frame['images'][0]['lidar2cam'].tobytes() for frame in frames}) == 3


TRACKING = dict(R0_rect='R_rect', Tr_velo_to_cam='Tr_velo_cam')


def as_tracking(text):
    """Lines of the object data as the tracking data has them."""
    for name, other in TRACKING.items():
        text = text.replace(f'{name}:', other)
    return text + 'Tr_imu_velo 1 0 0 0 0 1 0 0 0 0 1 0\n'


def same_calibration(frames, others):
    for frame, other in zip(frames, others):
        for key in ('cam2img', 'lidar2cam'):
            np.testing.assert_allclose(frame['images'][0][key], other['images'][0][key],
                                       atol=1e-9)


def test_calibration_of_the_tracking_data(kitti_object):
    root, _ = kitti_object
    expected = KittiObjectReader().read(str(root))
    for path in (root / 'training/calib').iterdir():
        path.write_text(as_tracking(path.read_text()))
    same_calibration(KittiObjectReader().read(str(root)), expected)
    # As one calib.txt of a sequence, with the tracking data's names of folders.
    sequence = root / 'sequences/0000'
    sequence.mkdir(parents=True)
    for folder, name in (('image_2', 'image_02'), ('velodyne', 'velodyne')):
        (root / 'training' / folder).rename(sequence / name)
    (sequence / 'calib.txt').write_text((root / 'training/calib/000000.txt').read_text())
    frames = KittiOdometryReader(['0000'], cameras=['image_02']).read(str(root))
    same_calibration(frames[:1], expected)
    assert frames[0]['images'][0]['name'] == 'image_02'


def test_calibration_of_a_raw_recording(kitti_object, disk):
    root, rectify = kitti_object
    expected = KittiObjectReader().read(str(root))
    sequence = root / 'sequences/0000'
    sequence.mkdir(parents=True)
    for folder in ('image_2', 'velodyne'):
        (root / 'training' / folder).rename(sequence / folder)
    lines = (root / 'training/calib/000000.txt').read_text().splitlines()
    values = dict(line.split(': ') for line in lines)
    velo = np.array(values['Tr_velo_to_cam'].split(), float).reshape(3, 4)
    time = 'calib_time: 09-Jan-2012 13:57:47\n'
    (sequence / 'calib_cam_to_cam.txt').write_text(
        time + 'corner_dist: 9.950000e-02\nS_02: 1.392e+03 5.12e+02\nK_02: 1 0 0 0 1 0 0 0 1\n'
        f'S_rect_02: 120. 48.\nP_rect_02: {values["P2"]}\nR_rect_00: {values["R0_rect"]}\n')
    with pytest.raises(FileNotFoundError, match='calib_velo_to_cam.txt'):
        KittiOdometryReader(['0000']).read(str(root))
    disk.write_calibration(sequence / 'calib_velo_to_cam.txt', R=velo[:, :3], T=velo[:, 3])
    path = sequence / 'calib_velo_to_cam.txt'
    path.write_text(time + path.read_text() + 'delta_f: 0 0\ndelta_c: 0 0\n')
    frames = KittiOdometryReader(['0000']).read(str(root))
    same_calibration(frames[:1], expected)
    assert frames[0]['images'][0]['image_size'] == (120, 48)


@pytest.mark.parametrize('damage', [
    lambda path: path.unlink(), lambda path: path.write_text('P2: 1 2'),
    lambda path: path.write_text(path.read_text().replace('R0_rect: 1', 'R0_rect: 2'))])
def test_a_frame_with_a_faulty_calibration_is_kept_as_broken(kitti_object, damage):
    root, _ = kitti_object
    damage(root / 'training/calib/000001.txt')
    with pytest.raises((FileNotFoundError, ValueError)):
        KittiObjectReader().read(str(root))
    frames = KittiObjectReader().read(str(root), keep_unpaired=True)
    assert len(frames[0]['images']) == 1
    assert set(frames[1]) == {'frame_id', 'broken'} and '000001.txt' in frames[1]['broken']


@pytest.mark.parametrize('camera', ['image_0', 'image_1'])
def test_grey_cameras(kitti_odometry, disk, camera):
    folder = kitti_odometry.root / 'sequences/01'
    calibration = (folder / 'calib.txt').read_text()
    (folder / 'calib.txt').write_text(
        calibration.replace('P2:', camera.replace('image_', 'P') + ':') if camera == 'image_1'
        else calibration.replace('P0:', 'P3:').replace('P2:', 'P0:'))
    (folder / camera).mkdir()
    for path in (folder / 'image_2').iterdir():
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(folder / camera / path.name), grey)
    dataset = CalibrationDataset(
        str(kitti_odometry.root), KittiOdometryReader(['01'], cameras=[camera]),
        [dict(type='LoadPoints'), dict(type='LoadImages')])
    image, = dataset[1]['imgs']
    assert image.shape == (disk.height, disk.width, 3) and (image == image[..., :1]).all()
