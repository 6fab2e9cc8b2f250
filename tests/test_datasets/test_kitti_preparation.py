"""Preparation for detectors by mmdet3d's own functions, on frames of the demo world."""
import pickle
import shutil
import sys

import numpy as np
import pytest

from scipy.spatial import cKDTree

from nclr_plugin.datasets.kitti_infos import split_kitti
from nclr_plugin.datasets.kitti_preparation import prepare_kitti
from nclr_plugin.demo.generate import generate
from nclr_plugin.demo.layouts.base import DemoOptions

pytest.importorskip('mmdet3d')
TRAIN, VAL = ('000001', '000003', '000004'), ('000002', )  # numbers are not places in the list


def load(path):
    return pickle.loads(path.read_bytes())


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Frames in KITTI's layout, prepared; there are none to test."""
    folder = tmp_path_factory.mktemp('prepared')
    generate(str(folder / 'demo'), 'kitti', DemoOptions(
        scenes=4, val_scenes=1, image_size=(160, 64), azimuths=512))
    kitti = folder / 'kitti'
    shutil.copytree(folder / 'demo' / 'training', kitti / 'training')
    (kitti / 'ImageSets').mkdir()
    for split, frames in dict(train=TRAIN, val=VAL, trainval=sorted(TRAIN + VAL)).items():
        (kitti / 'ImageSets' / f'{split}.txt').write_text('\n'.join(frames) + '\n')
    path = list(sys.path)
    prepare_kitti(str(kitti))
    assert sys.path == path
    return kitti


def test_infos_of_labelled_frames(root):
    for split, frames in dict(train=TRAIN, val=VAL).items():
        infos = load(root / f'kitti_infos_{split}.pkl')['data_list']
        assert [info['lidar_points']['lidar_path'] for info in infos] == [
            f'{frame}.bin' for frame in frames]
        assert all(info['instances'] for info in infos)
    assert not (root / 'kitti_infos_test.pkl').exists()
    assert len(list((root / 'training' / 'velodyne_reduced').iterdir())) == 4


def frame_of(root, entry):
    """Return the frame whose scan has the points of an object."""
    points = np.fromfile(root / entry['path'], np.float32).reshape(-1, 4)
    points[:, :3] += entry['box3d_lidar'][:3]  # stored relative to the box
    distance = {frame: cKDTree(np.fromfile(
        root / 'training' / 'velodyne' / f'{frame}.bin', np.float32).reshape(-1, 4)).query(
            points)[0].max() for frame in TRAIN}
    frame = min(distance, key=distance.get)
    assert distance[frame] < 1e-4 < sorted(distance.values())[1]
    return frame


def test_a_fraction_pastes_points_of_its_own_scans_only(root):
    split_kitti(str(root), (34, 67))
    everything = load(root / 'kitti_dbinfos_train.pkl')
    for percent, number in ((34, 1), (67, 2)):
        infos = load(root / f'kitti_infos_train_{percent}.pkl')['data_list']
        frames = {info['lidar_points']['lidar_path'][:6] for info in infos}
        objects = load(root / f'kitti_dbinfos_train_{percent}.pkl')
        assert len(frames) == number and sum(map(len, objects.values()))
        for name, entries in everything.items():
            own = [entry['path'] for entry in entries
                   if entry['num_points_in_gt'] and frame_of(root, entry) in frames]
            assert own == [entry['path'] for entry in objects[name] if entry['num_points_in_gt']]


def test_lists_are_asked_for(tmp_path):
    (tmp_path / 'ImageSets').mkdir()
    (tmp_path / 'ImageSets' / 'train.txt').write_text('000001\n')
    with pytest.raises(FileNotFoundError, match='val.txt.*six digits'):
        prepare_kitti(str(tmp_path))
