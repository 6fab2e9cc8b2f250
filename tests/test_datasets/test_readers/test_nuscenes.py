import copy
import json
import pickle

import numpy as np
import pytest
from mmengine.registry import TASK_UTILS

from nclr_plugin.datasets import CalibrationDataset, NuScenesReader
from nclr_plugin.errors import DataLayoutError

CAMERAS = ('CAM_FRONT', 'CAM_BACK')


@pytest.fixture
def nuscenes(tmp_path, disk):
    """Two frames of two cameras and their info file (mmdet3d, version 2)."""
    lidar2cam = np.eye(4)
    lidar2cam[:3, :3] = disk.axes
    infos = []
    for index in range(2):
        disk.write_scan(tmp_path / f'samples/LIDAR_TOP/{index}.bin', seed=index, dim=5)
        images = {}
        for number, camera in enumerate(CAMERAS):
            disk.write_image(tmp_path / f'samples/{camera}/{index}.jpg', seed=index)
            images[camera] = dict(
                img_path=f'{index}.jpg', cam2img=np.diag([60. + number, 60, 1]).tolist(),
                lidar2cam=lidar2cam.tolist())
        infos.append(dict(token=f'token{index}', images=images,
                          lidar_points=dict(lidar_path=f'{index}.bin', num_pts_feats=5)))
    write(tmp_path, dict(metainfo={}, data_list=infos))
    return tmp_path, infos


def write(root, infos):
    (root / 'infos.pkl').write_bytes(pickle.dumps(infos))


def read(root, **kwargs):
    return NuScenesReader('infos.pkl', cameras=CAMERAS, **kwargs).read(str(root))


def test_lists_frames_with_a_view_for_each_camera(nuscenes, disk):
    root, _ = nuscenes
    frames = read(root)
    assert [frame['frame_id'] for frame in frames] == ['token0', 'token1']
    frame = frames[1]
    assert frame['lidar_path'] == str(root / 'samples/LIDAR_TOP/1.bin') and frame['lidar_dim'] == 5
    assert frame['intensity_scale'] == pytest.approx(1 / 255)
    assert [image['name'] for image in frame['images']] == list(CAMERAS)
    assert frame['images'][1]['img_path'] == str(root / 'samples/CAM_BACK/1.jpg')
    assert frame['images'][1]['cam2img'][0, 0] == 61
    assert (frame['images'][0]['lidar2cam'][:3, :3] == disk.axes).all()


def test_paths_of_the_machine_that_wrote_the_infos_do_not_matter(nuscenes):
    root, infos = nuscenes
    infos[0]['lidar_points']['lidar_path'] = './data/nuscenes/samples/LIDAR_TOP/0.bin'
    write(root, dict(data_list=infos))
    assert read(root)[0]['lidar_path'] == str(root / 'samples/LIDAR_TOP/0.bin')


def test_takes_a_list(nuscenes):
    root, _ = nuscenes
    (root / 'list.txt').write_text('token1\n')
    assert [frame['frame_id'] for frame in read(root, frame_list='list.txt')] == ['token1']
    (root / 'list.txt').write_text('token1\ntoken7\n')
    with pytest.raises(ValueError, match=r'list.txt.*found 1 \(token7\)'):
        read(root, frame_list='list.txt')


def test_absent_roots_and_info_files_are_named(nuscenes, tmp_path):
    root, _ = nuscenes
    with pytest.raises(FileNotFoundError, match=r"gone/samples' does not exist.*set data_root"):
        read(tmp_path / 'gone')
    with pytest.raises(FileNotFoundError, match=r'other.pkl.*create_data.py nuscenes'):
        NuScenesReader('other.pkl').read(str(root))


@pytest.mark.parametrize('infos', [dict(infos=[], metadata={}), [1, 2]])
def test_info_files_of_another_version_are_refused(nuscenes, infos):
    root, _ = nuscenes
    write(root, infos)
    with pytest.raises(ValueError, match=r"infos.pkl': expected a dict with 'data_list'.*_to_v2"):
        read(root)


def test_missing_files_are_listed(nuscenes):
    root, _ = nuscenes
    (root / 'samples/CAM_BACK/1.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'missing are 1 \(.*samples/CAM_BACK/1.jpg\)'):
        read(root)
    reader = NuScenesReader('infos.pkl', cameras=CAMERAS)
    assert len(reader.read(str(root), keep_unpaired=True)) == 2


def test_incomplete_infos_are_refused(nuscenes):
    root, infos = nuscenes
    for break_it, match in [
        (lambda info: info['images'].pop('CAM_BACK'),
         r"found no 'CAM_BACK' \(cameras: \['CAM_FRONT'\]"),
        (lambda info: info['images']['CAM_BACK'].pop('lidar2cam'), "found no 'lidar2cam'"),
        (lambda info: info.pop('lidar_points'), "found no 'lidar_points'"),
        (lambda info: info['images']['CAM_BACK'].update(cam2img=[[1]]),
         'frame token0, CAM_BACK: expected a 3x3'),
    ]:
        broken = copy.deepcopy(infos)
        break_it(broken[0])
        write(root, dict(data_list=broken))
        with pytest.raises(ValueError, match=match):
            read(root)
        frames = NuScenesReader('infos.pkl', cameras=CAMERAS).read(str(root), keep_unpaired=True)
        assert set(frames[0]) == {'frame_id', 'broken'} and frames[0]['frame_id'] == 'token0'
        assert len(frames[1]['images']) == 2


@pytest.mark.parametrize('break_it', [
    lambda info: info['images'].pop('CAM_BACK'), lambda info: info.update(images=None),
    lambda info: info['images'].update(CAM_BACK=None),
    lambda info: info['images']['CAM_FRONT'].update(lidar2cam=np.zeros((4, 4)).tolist())])
def test_a_frame_without_a_camera_is_skipped_like_any_broken_one(nuscenes, break_it):
    root, infos = nuscenes
    break_it(infos[0])
    write(root, dict(data_list=infos))
    settings = dict(data_root=str(root),
                    pipeline=[dict(type='LoadPoints'), dict(type='LoadImages')],
                    reader=dict(type='NuScenesReader', info_file='infos.pkl', cameras=CAMERAS))
    with pytest.raises(DataLayoutError, match='frame token0'):
        CalibrationDataset(**settings)
    dataset = CalibrationDataset(**settings, skip_broken=True)
    assert len(dataset) == 2
    for index in range(2):
        sample = dataset[index]
        assert sample['frame_id'] == 'token1' and len(sample['imgs']) == 2
    (frame_id, reason), = dataset[0]['skipped_frames']
    assert frame_id == 'token0' and 'frame token0' in reason
    break_it(infos[1])
    write(root, dict(data_list=infos))
    with pytest.raises(DataLayoutError, match='all 2 frames are broken; the first one: .*token0'):
        CalibrationDataset(**settings, skip_broken=True)


def test_a_frame_list_takes_a_broken_frame_out(nuscenes):
    root, infos = nuscenes
    infos[0]['images'].pop('CAM_BACK')
    write(root, dict(data_list=infos))
    (root / 'list.txt').write_text('token1\n')
    assert [frame['frame_id'] for frame in read(root, frame_list='list.txt')] == ['token1']


def test_the_mismatched_image_control_passes_over_broken_frames(nuscenes):
    root, infos = nuscenes
    infos[0]['images'].pop('CAM_BACK')
    infos.append(copy.deepcopy(infos[1]))
    infos[2]['token'] = 'token2'
    write(root, dict(data_list=infos))
    dataset = CalibrationDataset(
        str(root), dict(type='NuScenesReader', info_file='infos.pkl', cameras=CAMERAS),
        [dict(type='LoadPoints'), dict(type='LoadImages')], skip_broken=True, test_mode=True,
        mismatched_image_control=True)
    wrong = dataset[3 + 0]  # itself broken; so are the images that frame 2 would get
    assert wrong['frame_id'] == 'token1' and len(wrong['skipped_frames']) == 1
    wrong = dataset[3 + 2]
    assert [frame_id for frame_id, _ in wrong['skipped_frames']] == ['token2', 'token0']


def test_the_size_in_the_infos_is_compared(nuscenes, disk):
    root, infos = nuscenes
    infos[0]['images']['CAM_BACK'].update(width=disk.width, height=disk.height)
    write(root, dict(data_list=infos))
    assert read(root)[0]['images'][1]['image_size'] == (disk.width, disk.height)


def test_real_frame_has_six_views_with_the_stated_calibration(shared_data):
    root = shared_data / 'nuscenes_frame'
    reader = TASK_UTILS.build(dict(type='NuScenesReader', info_file='info_v2.pkl'))
    frames = reader.read(str(root))
    assert len(frames) == 1 and len(frames[0]['images']) == 6
    stated = json.loads((root / 'calib.json').read_text())['cameras']
    for image in frames[0]['images']:
        camera = stated[image['name']]
        np.testing.assert_allclose(image['cam2img'], camera['cam_intrinsic'])
        np.testing.assert_allclose(image['lidar2cam'], camera['lidar2cam'])
        assert image['img_path'] == str(root / camera['image_path'])


def test_infos_without_sweeps_are_refused_when_some_are_asked_for(nuscenes):
    root, infos = nuscenes
    with pytest.raises(ValueError, match=r'expected lidar_sweeps in it .*--max-sweeps'):
        read(root, num_sweeps=2)
    sweep = dict(lidar_points=dict(lidar_path='x/sweeps/LIDAR_TOP/7.bin',
                                   lidar2sensor=np.eye(4).tolist()))
    infos[1]['lidar_sweeps'] = [sweep]  # the first frame of a scene has none
    write(root, dict(data_list=infos))
    with pytest.raises(FileNotFoundError, match=r'missing are 1 \(.*sweeps/LIDAR_TOP/7.bin\)'):
        read(root, num_sweeps=2)
    assert all(frame['sweeps'] == [] for frame in read(root))
    sweep['lidar_points']['lidar2sensor'][0][0] = 2.
    write(root, dict(data_list=infos))
    with pytest.raises(ValueError, match='frame token1, sweep 0'):
        read(root, num_sweeps=2)
    with pytest.raises(ValueError, match='sweep_step >= 1, found 2 and 0'):
        NuScenesReader('infos.pkl', num_sweeps=2, sweep_step=0)
