import numpy as np
import pytest
import yaml
from mmengine.registry import TASK_UTILS

from nclr_plugin.datasets import RigReader


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
    (lambda rig: rig['lidar'].pop('dim'), r"lidar: expected the keys \['folder', 'dim'\]"),
    (lambda rig: rig['lidar'].update(suffix='.pcd'), "suffix .bin or .npy, found '.pcd'"),
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
