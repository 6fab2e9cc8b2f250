"""OpenPCDet's nuScenes infos against mmdet3d's of the same frame."""
import numpy as np
import pytest
from mmengine import fileio

from nclr_plugin.datasets import NuScenesReader
from nclr_plugin.datasets.readers.nuscenes import OpenPCDetNuScenesReader


@pytest.fixture
def nuscenes(shared_data):
    return shared_data / 'nuscenes_frame'


def test_same_frames_as_from_mmdet3ds_infos(nuscenes, as_openpcdet, tmp_path):
    infos = fileio.load(nuscenes / 'info_v2.pkl')
    infos = infos if 'data_list' in infos else dict(data_list=[infos])
    fileio.dump(infos, tmp_path / 'v2.pkl')
    fileio.dump([as_openpcdet(info) for info in infos['data_list']], tmp_path / 'pcdet.pkl')
    expected = NuScenesReader(str(tmp_path / 'v2.pkl')).read(str(nuscenes))
    frames = OpenPCDetNuScenesReader(str(tmp_path / 'pcdet.pkl')).read(str(nuscenes))
    assert len(frames) == len(expected) == 1
    for frame, other in zip(frames, expected):
        images, others = frame.pop('images'), other.pop('images')
        assert frame == other
        for image, same in zip(images, others):
            assert (image['name'], image['img_path']) == (same['name'], same['img_path'])
            np.testing.assert_allclose(image['cam2img'], same['cam2img'])
            np.testing.assert_allclose(image['lidar2cam'], same['lidar2cam'], atol=1e-6)


@pytest.mark.parametrize('content, words', [
    ([dict(token='a', lidar_path='x.bin')], 'write it again with --with_cam'),
    (dict(data_list=[]), 'expected a list of frames, as OpenPCDet writes it, found dict'),
])
def test_other_infos_are_refused(content, words, tmp_path):
    (tmp_path / 'samples').mkdir()
    fileio.dump(content, tmp_path / 'infos.pkl')
    with pytest.raises(ValueError, match=words):
        OpenPCDetNuScenesReader('infos.pkl').read(str(tmp_path))


def test_missing_image_or_calibration_is_named(tmp_path):
    (tmp_path / 'samples').mkdir()
    camera = dict(data_path='samples/CAM_FRONT/a.jpg', camera_intrinsics=np.diag([2., 2., 1.]),
                  sensor2lidar_rotation=np.eye(3), sensor2lidar_translation=np.zeros(3))
    info = dict(token='a', lidar_path='samples/LIDAR_TOP/a.bin', cams=dict(CAM_FRONT=camera))
    reader = OpenPCDetNuScenesReader('infos.pkl', cameras=['CAM_FRONT'])
    fileio.dump([info], tmp_path / 'infos.pkl')
    with pytest.raises(FileNotFoundError, match='a.jpg|a.bin'):
        reader.read(str(tmp_path))
    del camera['sensor2lidar_rotation']
    fileio.dump([info], tmp_path / 'infos.pkl')
    with pytest.raises(ValueError, match='sensor2lidar_rotation'):
        reader.read(str(tmp_path))
