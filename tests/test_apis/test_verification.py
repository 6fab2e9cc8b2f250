"""A pose that few frames lead to is not called reliable: real frames, where they are there."""
import importlib.util
import shutil

import cv2
import numpy as np
import pytest

from nclr_plugin.apis import check, refine
from nclr_plugin.apis.joint_search import move
from nclr_plugin.apis.verification import count_places
from nclr_plugin.datasets.images import read_image
from nclr_plugin.experiments.rig_calibration import RigFrames


@pytest.fixture
def packed_frame(shared_data, tmp_path):
    """Frame 005277 of KITTI's object data, from the packed ones."""
    tool = shared_data.parent / 'tools/real_data/unpack.py'
    source = shared_data / 'packed/kitti_object/training'
    if not (tool.is_file() and source.is_dir()):
        pytest.skip(f'no packed frames in {source}')
    spec = importlib.util.spec_from_file_location('unpack', tool)
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    found = {path.parent.name: path for path in source.rglob('005277.*')}
    training = tmp_path / 'training'
    for name in found:
        (training / name).mkdir(parents=True)
    shutil.copy(found['calib'], training / 'calib')
    shutil.copy(found['label_2'], training / 'label_2')
    unpack.read_scan(found['velodyne']).tofile(training / 'velodyne/005277.bin')
    cv2.imwrite(str(training / 'image_2/005277.png'), cv2.imread(str(found['image_2'])))
    return RigFrames([str(tmp_path)])


@pytest.mark.slow
def test_one_frame_confirms_no_pose(packed_frame):
    # From here, the best pose is 4.1 deg and 0.54 m off, and columns of the image that were not
    # used for it prefer it.
    offset = np.array([[0.0007908123712166426, 0.03324808282599339, -0.029263165955090306,
                        0.0858846655960237, -0.09881073249818195, 0.24152096558864578]])
    pairs = [packed_frame.load(0)]
    result = refine(pairs, move(packed_frame.lidar2cam, offset)[0])
    assert result.num_places == 1
    assert not result.reliable and result.kept == 'guess', result.reason
    right = check(pairs, packed_frame.lidar2cam)
    assert right.verdict != 'good' and right.exit_status == 1, right.statement


def test_frames_of_one_place_count_once(shared_data):
    folder = shared_data / 'kitti_object/training/image_2'
    images = [read_image(str(path), dict(img_path=str(path)))
              for path in sorted(folder.glob('0000*.png'))[:6]]
    assert count_places(images) == 6
    rng = np.random.default_rng(0)
    again = [(image + rng.normal(0, 5, image.shape)).clip(0, 255).astype(np.uint8)
             for image in images[:2]]
    assert count_places(images[:2] + again) == 2
