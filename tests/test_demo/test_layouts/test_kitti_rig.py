"""The rig of the KITTI layouts."""
import numpy as np
from scipy.spatial.transform import Rotation

from nclr_plugin.demo.frame import Split
from nclr_plugin.demo.layouts import Job, KittiObjectLayout, SemanticKittiLayout
from nclr_plugin.demo.options import DemoOptions

AXES = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])  # camera from LiDAR axes, nothing else


def test_camera_looks_ahead_and_sits_ahead_of_the_lidar():
    for layout in (SemanticKittiLayout, KittiObjectLayout):
        for town in range(4):
            cameras, lidar = layout('.', DemoOptions(scenes=1)).mounts(Job(Split.TRAIN, town, 0))
            mount = cameras['image_2']
            cam2lidar = np.linalg.inv(mount.lidar2cam)
            assert Rotation.from_matrix(cam2lidar[:3, :3] @ AXES).magnitude() < np.deg2rad(5)
            np.testing.assert_allclose(cam2lidar[:3, 3], [0.27, 0.06, -0.08], atol=0.05)
            assert lidar.lidar2ego[2, 3] == 1.73
            assert (mount.width, mount.height) == (1242, 375)


def test_options_reach_the_sensors():
    options = DemoOptions(scenes=1,
                          image_size=(416, 128),
                          focal=300.0,
                          beams=32,
                          azimuths=500,
                          sensor_height=2.1)
    cameras, lidar = SemanticKittiLayout('.', options).mounts(Job(Split.TRAIN, 0, 0))
    mount = cameras['image_2']
    assert (mount.width, mount.height) == (416, 128)
    assert abs(mount.cam2img[0, 0] - 300) < 4
    assert 190 < mount.cam2img[0, 2] < 215 and 45 < mount.cam2img[1, 2] < 75
    assert lidar.azimuths == 500 and len(lidar.elevations) == 32
    assert lidar.lidar2ego[2, 3] == 2.1


def test_scaled_image_scales_the_focal_length():
    small = DemoOptions(scenes=1, image_size=(621, 188))
    full = SemanticKittiLayout('.', DemoOptions(scenes=1)).mounts(Job(Split.TRAIN, 0, 0))[0]
    half = SemanticKittiLayout('.', small).mounts(Job(Split.TRAIN, 0, 0))[0]
    np.testing.assert_allclose(half['image_2'].cam2img[0, 0] * 2, full['image_2'].cam2img[0, 0])
    np.testing.assert_allclose(half['image_2'].lidar2cam, full['image_2'].lidar2cam, atol=1e-12)
