import numpy as np
import pytest
import yaml
from mmengine.registry import TASK_UTILS
from PIL import Image
from scipy.spatial.transform import Rotation

from nclr_plugin.datasets import CalibrationDataset, RigReader
from nclr_plugin.errors import DataLayoutError
from nclr_plugin.datasets.readers import rig as rig_module


@pytest.fixture
def rig(tmp_path, disk):
    """Two cameras, scans of five columns, three frames."""
    lidar2cam = np.eye(4)
    lidar2cam[:3, :3] = disk.axes
    description = dict(
        lidar=dict(folder='scans', dim=5, intensity_scale=0.01),
        cameras=[
            dict(name=name, folder=f'images/{name}', image_size=[disk.width, disk.height],
                 cam2img=[[60, 0, 58], [0, 60, 22], [0, 0, 1]], lidar2cam=lidar2cam.tolist())
            for name in ('left', 'right')
        ])
    for stem in ('10', '11', '12'):
        disk.write_scan(tmp_path / f'scans/{stem}.bin', dim=5)
        for name in ('left', 'right'):
            disk.write_image(tmp_path / f'images/{name}/{stem}.jpg')
    write(tmp_path, description)
    return tmp_path, description


def write(root, description):
    (root / 'rig.yaml').write_text(yaml.safe_dump(description))


def test_lists_frames_by_stem(rig, disk):
    root, _ = rig
    frames = TASK_UTILS.build(dict(type='RigReader')).read(str(root))
    assert [frame['frame_id'] for frame in frames] == ['10', '11', '12']
    frame = frames[2]
    assert frame['lidar_path'] == str(root / 'scans/12.bin')
    assert frame['lidar_dim'] == 5 and frame['intensity_scale'] == 0.01
    left, right = frame['images']
    assert left['img_path'] == str(root / 'images/left/12.jpg') and right['name'] == 'right'
    assert left['image_size'] == (disk.width, disk.height)
    assert left['cam2img'][0].tolist() == [60, 0, 58] and left['lidar2cam'].shape == (4, 4)


def test_takes_a_list_and_numpy_scans(rig):
    root, description = rig
    description['lidar']['suffix'] = '.npy'
    write(root, description)
    np.save(root / 'scans/11.npy', np.ones((4, 5), np.float32))
    (root / 'list.txt').write_text('11\n')
    frames = RigReader(frame_list='list.txt').read(str(root))
    assert [frame['lidar_path'] for frame in frames] == [str(root / 'scans/11.npy')]


def test_counts_must_agree(rig):
    root, _ = rig
    (root / 'images/right/11.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r"images/right' has 2 files and misses 1 \(11\)"):
        RigReader().read(str(root))
    assert len(RigReader().read(str(root), keep_unpaired=True)) == 3


def test_absent_folders_and_files_are_named(rig):
    root, _ = rig
    with pytest.raises(FileNotFoundError, match="gone' does not exist.*set data_root"):
        RigReader().read(str(root / 'gone'))
    with pytest.raises(FileNotFoundError, match="other.yaml' does not exist.*rig_file"):
        RigReader('other.yaml').read(str(root))


@pytest.mark.parametrize('change, match', [
    (lambda rig: rig.pop('lidar'), r"the keys \['lidar', 'cameras'\], found \['cameras'\]"),
    (lambda rig: rig['lidar'].pop('dim'), "lidar: expected dim, the columns of a point in .bin"),
    (lambda rig: rig['lidar'].update(suffix='.las'), "suffix .bin, .npy, .*found '.las'"),
    (lambda rig: rig['lidar'].update(dim=2), '3 or more, found 2'),
    (lambda rig: rig['lidar'].update(intensity_scale=0), 'a number above 0 .*found 0'),
    (lambda rig: rig.update(cameras=[]), 'expected a list of at least one camera'),
    (lambda rig: rig['cameras'][1].update(distortion=[0.1]), r"camera 1: .*'distortion'"),
    (lambda rig: rig['cameras'][1].update(name='left'), r"different names.*\['left', 'left'\]"),
    (lambda rig: rig['cameras'][0].update(image_size=[10.5, 3]), r'left, image_size: expected'),
    (lambda rig: rig['cameras'][0].update(cam2img=[[1, 2], [3, 4]]), 'left, cam2img: expected'),
    (lambda rig: rig['cameras'][1].update(lidar2cam='no'), 'right, lidar2cam: expected a 4x4'),
])
def test_wrong_descriptions_are_refused(rig, change, match):
    root, description = rig
    change(description)
    write(root, description)
    with pytest.raises(ValueError, match=r"rig file '.*rig.yaml'.*" + match):
        RigReader().read(str(root))


@pytest.mark.parametrize('text', ['lidar: [1, 2', '- just\n- a list\n', ''])
def test_what_is_no_description_is_refused(rig, text):
    root, _ = rig
    (root / 'rig.yaml').write_text(text)
    with pytest.raises(ValueError, match="rig.yaml': expected"):
        RigReader().read(str(root))


def dataset(root):
    return CalibrationDataset(str(root), dict(type='RigReader'), [
        dict(type='LoadPoints'), dict(type='LoadImages'), dict(type='ResizeImages', size=(40, 60))])


def test_cam2lidar_is_warned_of_before_training(rig, warned):
    root, description = rig
    assert len(dataset(root)) == 3 and not warned
    camera = description['cameras'][1]
    camera['lidar2cam'] = np.linalg.inv(camera['lidar2cam']).tolist()
    write(root, description)
    assert len(dataset(root)) == 3
    warning, = warned
    assert warning.startswith("camera 'right': lidar2cam looks wrong") and 'cam2lidar?' in warning
    dataset(root)
    assert len(warned) == 1


@pytest.mark.parametrize('yaw, width, height', [(0, 48, 120), (180, 120, 48), (180, 48, 120),
                                                (-90, 48, 120)])
def test_portrait_and_backward_looking_cameras(rig, disk, warned, yaw, width, height):
    """A point keeps its pixel from the file through the transforms."""
    root, description = rig
    turn = Rotation.from_euler('z', yaw, degrees=True).as_matrix()
    description['cameras'] = description['cameras'][:1]
    lidar2cam = np.eye(4)
    lidar2cam[:3, :3] = disk.axes @ turn.T
    description['cameras'][0].update(
        image_size=[width, height], cam2img=[[60, 0, width / 2], [0, 60, height / 2], [0, 0, 1]],
        lidar2cam=lidar2cam.tolist())
    write(root, description)
    for stem in ('10', '11', '12'):
        disk.write_image(root / f'images/left/{stem}.jpg', width=width, height=height)
        points = np.fromfile(root / f'scans/{stem}.bin', np.float32).reshape(-1, 5)
        points[:, :3] = points[:, :3] @ turn.T.astype(np.float32)
        points.tofile(root / f'scans/{stem}.bin')
    sample = dataset(root)[1]
    assert not warned and sample['imgs'][0].shape == (60, 40, 3)
    point = turn @ [10, 0.5, -1]
    in_camera = sample['lidar2cam'][0][:3, :3] @ point
    u, v, depth = sample['cam2img'][0] @ in_camera
    expected = np.array([60 * -0.05 + width / 2 + 0.5, 60 * 0.1 + height / 2 + 0.5]) \
        * [40 / width, 60 / height] - 0.5
    np.testing.assert_allclose([u / depth, v / depth], expected, atol=1e-6)


def test_exif_and_grey_cameras_of_a_rig(rig, disk):
    root, description = rig
    exif = Image.Exif()
    exif[0x0112] = 6
    for stem in ('10', '11', '12'):
        pixels = np.random.default_rng(0).integers(0, 256, (disk.width, disk.height), np.uint8)
        Image.fromarray(pixels).save(root / f'images/left/{stem}.jpg', exif=exif)
    sample = dataset(root)[0]
    assert sample['imgs'][0].shape == (60, 40, 3)
    assert (sample['imgs'][0] == sample['imgs'][0][..., :1]).all()
    assert RigReader().read(str(root))[0]['images'][0]['image_size'] == (disk.width, disk.height)


@pytest.fixture
def logged(log_of):
    return log_of(rig_module)


@pytest.mark.parametrize('largest', [1, 255, 65535])
def test_the_scale_of_intensities_is_found_out(rig, disk, logged, largest):
    root, description = rig
    del description['lidar']['intensity_scale']
    write(root, description)
    for stem in ('10', '11', '12'):
        points = disk.write_scan(root / f'scans/{stem}.bin', dim=5)
        points[:, 3] *= largest
        points[0, 3] = 1.0039 * largest
        points.tofile(root / f'scans/{stem}.bin')
    assert {frame['intensity_scale'] for frame in RigReader().read(str(root))} == {1 / largest}
    line, = logged
    assert f'in 3 scans; they are taken as 0..{largest} (intensity_scale: ' in line
    # What is said is not found out.
    description['lidar']['intensity_scale'] = 0.5 / largest
    write(root, description)
    assert RigReader().read(str(root))[0]['intensity_scale'] == 0.5 / largest
    assert len(logged) == 1


def test_intensities_of_no_known_size_are_refused(rig, disk):
    root, description = rig
    del description['lidar']['intensity_scale']
    write(root, description)
    for stem in ('10', '11', '12'):
        points = disk.write_scan(root / f'scans/{stem}.bin', dim=5)
        points[:, 3] *= 1e9
        points.tofile(root / f'scans/{stem}.bin')
    with pytest.raises(ValueError, match='0..65535, found 99% of them up to 9.*set intensity'):
        RigReader().read(str(root))


PIPELINE = [dict(type='LoadPoints')]


def test_scans_of_other_columns_stop_before_training(rig):
    root, description = rig
    description['lidar'].update(dim=4, intensity_scale=1.)
    write(root, description)
    with pytest.raises(DataLayoutError, match='lidar.dim in rig.yaml.*in all 3 scans'):
        CalibrationDataset(str(root), RigReader(), PIPELINE, skip_broken=True)


def test_organised_clouds_and_pcd_can_be_trained_on(rig, disk):
    root, description = rig
    description['lidar'] = dict(folder='scans', dim=5)
    write(root, description)
    expected = []
    for stem in ('10', '11', '12'):
        points = disk.write_scan(root / f'scans/{stem}.bin', dim=5)
        rows = np.full((300, 5), np.nan, np.float32)
        rows[np.arange(300) % 3 > 0] = points
        rows.tofile(root / f'scans/{stem}.bin')
        header = ('FIELDS x y z intensity ring\nSIZE 4 4 4 4 4\nTYPE F F F F F\n'
                  'COUNT 1 1 1 1 1\nPOINTS 300\nDATA binary\n')
        (root / f'scans/{stem}.pcd').write_bytes(header.encode() + rows.tobytes())
        expected.append(points[:, :4])
    for lidar in (dict(folder='scans', dim=5), dict(folder='scans', suffix='.pcd')):
        description['lidar'] = lidar
        write(root, description)
        dataset = CalibrationDataset(str(root), RigReader(), PIPELINE)
        for index, points in enumerate(expected):
            np.testing.assert_array_equal(dataset[index]['points'], points)
