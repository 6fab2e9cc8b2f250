"""A few small demo frames, made once."""
import numpy as np
import pytest

from nclr_plugin.demo import DemoOptions, generate
from nclr_plugin.demo.frame import (CameraMount, Frame, LidarMount, Split, beam_elevations,
                                             render_frame)

SMALL = dict(scenes=3, val_scenes=2, towns=2, image_size=(160, 64), azimuths=360)


@pytest.fixture(scope='session')
def mounts():
    """A camera 0.3 m ahead of a LiDAR, no rotation but the change of axes."""
    lidar2cam = np.eye(4)
    lidar2cam[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    lidar2cam[:3, 3] = 0.05, -0.08, -0.3
    lidar2ego = np.eye(4)
    lidar2ego[2, 3] = 1.73
    cam2img = np.array([[180.0, 0, 159.0], [0, 180.0, 62.0], [0, 0, 1]])
    return ({
        'front': CameraMount(cam2img, 320, 128, lidar2cam)
    }, LidarMount(beam_elevations(64), 720, lidar2ego))


@pytest.fixture(scope='session')
def frame(mounts) -> Frame:
    return render_frame(*mounts, seed=3, split=Split.TRAIN, town=0, index=1, heading='road')


@pytest.fixture(scope='session')
def upside_down(mounts) -> Frame:
    """A frame of a LiDAR that is mounted upside down, and no camera."""
    lidar = mounts[1]._replace(elevations=np.radians(np.linspace(22., -22., 64)),
                               lidar2ego=mounts[1].lidar2ego @ np.diag([1., -1., -1., 1.]))
    return render_frame({}, lidar, seed=3, split=Split.TRAIN, town=0, index=1, heading='road')


@pytest.fixture(scope='session')
def make_root(tmp_path_factory):
    """Function that generates a layout once and returns its folder."""
    roots = {}

    def make(layout):
        if layout not in roots:
            root = tmp_path_factory.mktemp('demo') / layout
            generate(str(root), layout, DemoOptions(**SMALL))
            roots[layout] = root
        return roots[layout]

    return make
