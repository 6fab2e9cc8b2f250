"""Options of the generator, the frames they ask for, and image files."""
import cv2
import numpy as np
import pytest

from nclr_plugin.demo.frame import Split
from nclr_plugin.demo.layouts import Job, SemanticKittiLayout
from nclr_plugin.demo.layouts.base import DemoOptions, write_image


@pytest.mark.parametrize('wrong, message', [
    (dict(scenes=-1), 'scenes: expected at least 0, found -1'),
    (dict(scenes=0), 'expected at least one scene in total, found none'),
    (dict(scenes=1, towns=0), 'towns: expected at least 1'),
    (dict(scenes=1, heading='up'), "found 'up'"),
    (dict(scenes=1, image_size=(8, 100)), 'image_size'),
    (dict(scenes=1, azimuths=3), 'azimuths'),
    (dict(scenes=1, focal=-3.0), 'focal'),
    (dict(scenes=1, sensor_height=-1.0), 'sensor_height'),
    (dict(scenes=1, beams=48), 'found 48'),
])
def test_wrong_options(wrong, message):
    with pytest.raises(ValueError, match=message):
        DemoOptions(**wrong)


def test_options_reach_the_sensors():
    options = DemoOptions(scenes=1, image_size=(416, 128), focal=300.0, beams=32, azimuths=500,
                          sensor_height=2.1)
    cameras, lidar = SemanticKittiLayout('.', options).mounts(Job(Split.TRAIN, 0, 0))
    mount = cameras['image_2']
    assert (mount.width, mount.height) == (416, 128)
    assert abs(mount.cam2img[0, 0] - 300) < 4
    assert 190 < mount.cam2img[0, 2] < 215 and 45 < mount.cam2img[1, 2] < 75
    assert lidar.azimuths == 500 and len(lidar.elevations) == 32
    assert lidar.lidar2ego[2, 3] == 2.1


def test_towns_take_turns_and_validation_has_its_own():
    jobs = SemanticKittiLayout('.', DemoOptions(scenes=3, val_scenes=2, towns=2)).jobs()
    assert jobs == [Job(Split.TRAIN, 0, 0), Job(Split.TRAIN, 1, 1), Job(Split.TRAIN, 0, 2),
                    Job(Split.VAL, 0, 0), Job(Split.VAL, 0, 1)]


def test_images_are_written_as_rgb(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    write_image(str(tmp_path / 'image.png'), image)
    assert (cv2.imread(str(tmp_path / 'image.png'))[..., ::-1] == image).all()
    with pytest.raises(OSError, match='could not be written'):
        write_image(str(tmp_path / 'absent' / 'image.png'), image)
