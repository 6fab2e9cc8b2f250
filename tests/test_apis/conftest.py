"""A network that knows the answer, and an image and a scan for it."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from rectangles import make_frame
from scipy.spatial.transform import Rotation

from nclr_plugin.apis import joint_search
from nclr_plugin.geometry.camera import in_view, project_points
from nclr_plugin.models.pretrainers.base import CalibrationModel

WIDTH, HEIGHT = 300, 120
AXES = np.array([[0., -1., 0.], [0., 0., -1.], [1., 0., 0.]])
CONFIG = '''
model = dict(
    type='KnownPose',
    data_preprocessor=dict(type='CalibrationDataPreprocessor', voxel_size=(0.1, 0.1, 0.1)),
    pose_head=dict(type='PoseHead', inlier_threshold=3.))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadPoints'),
    dict(type='LoadImages'),
    dict(type='CropPoints', point_cloud_range=[-50., -50., -5., 50., 50., 5.]),
    dict(type='RandomRigidTransform'),
    dict(type='CropTop', top=20),
    dict(type='ResizeImages', size=(240, 60)),
    dict(type='PackCalibrationInputs'),
]))
'''


@MODELS.register_module()
class KnownPose(CalibrationModel):
    """Matches by the pose in its weights; a share of them is random."""

    def __init__(self, data_preprocessor, pose_head):
        super().__init__(data_preprocessor=data_preprocessor)
        self.pose_head = MODELS.build(pose_head)
        self.register_buffer('truth', torch.eye(4, dtype=torch.float64))
        self.register_buffer('wrong', torch.zeros(()))
        self.seen = None

    def extract_features(self, *args):
        raise AssertionError('forward is overridden')

    loss = match_points = extract_features

    def forward(self, inputs, data_samples=None, mode='tensor', hypothesis=0):
        assert mode == 'predict' and inputs.lidar2cam is None
        self.seen = inputs
        points, (height, width) = inputs.voxels.points, inputs.imgs.shape[-2:]
        poses, matches = [], []
        for cam2img in inputs.cam2img:
            pixels, depth = project_points(points.double(), self.truth, cam2img.double())
            keep = in_view(pixels, depth, height, width)
            pixels = pixels[keep]
            count = round(float(self.wrong) * len(pixels))
            torch.manual_seed(0)
            wrong = torch.randperm(len(pixels))[:count]
            pixels[wrong] = torch.rand(count, 2).double() * torch.tensor([width, height])
            scores = torch.linspace(0, 1, len(pixels))
            matches.append(BaseDataElement(points=points[keep], pixels=pixels.float(),
                                           scores=scores))
            poses.append(self.pose_head.predict(points[keep], pixels.float(), cam2img))
        data_samples[0].set_data(self.pose_head.fields(poses))
        data_samples[0].pred_matches = matches
        return data_samples


@pytest.fixture(autouse=True, scope='session')
def fewer_poses():
    """A third of the poses of each search, which is enough for the worlds of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint_search, 'MAX_EFFORT', 1.)
        yield


@pytest.fixture(scope='session')
def view():
    """A frame of rectangles ahead of a camera that looks 40 deg to the side, and points around."""
    lidar2cam = np.eye(4)
    lidar2cam[:3, :3] = Rotation.from_euler('xyz', [2, 0, -1], degrees=True).as_matrix() @ AXES
    lidar2cam[:3, 3] = [0.2, -0.3, -0.4]
    cam2img = np.array([[180., 0, 152], [0, 170, 66], [0, 0, 1]])
    image, points = make_frame(0, lidar2cam, 40, cam2img, (WIDTH, HEIGHT))
    rng = np.random.default_rng(0)
    elevation, azimuth = rng.uniform(-0.25, 0.1, 4000), rng.uniform(1.05, 5.23, 4000)
    behind = np.column_stack([
        np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth),
        np.sin(elevation)]) * rng.uniform(6, 30, (4000, 1))
    points = np.concatenate((points, np.column_stack((behind, rng.uniform(0, 1, 4000)))))
    side = Rotation.from_euler('z', 40, degrees=True).as_matrix()
    points[:, :3] = points[:, :3] @ side.T
    lidar2cam[:3, :3] = lidar2cam[:3, :3] @ side.T
    return image, points.astype(np.float32), lidar2cam, cam2img


@pytest.fixture
def scene(view):
    """Scan, image, intrinsics and the true pose."""
    image, points, lidar2cam, cam2img = (value.copy() for value in view)
    rng = np.random.default_rng(0)
    return SimpleNamespace(
        points=points, lidar2cam=lidar2cam, axes=AXES, width=WIDTH, height=HEIGHT,
        cam2img=cam2img, image=image,
        other_image=rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))


@pytest.fixture
def config_text():
    return CONFIG


@pytest.fixture
def save_network(tmp_path, scene):
    """Function: pose that it knows and share of wrong matches -> checkpoint file."""

    def save(truth=None, wrong=0., meta=True):
        state = dict(truth=torch.as_tensor(scene.lidar2cam if truth is None else truth),
                     wrong=torch.tensor(wrong))
        path = tmp_path / 'network.pth'
        torch.save(dict(meta=dict(cfg=CONFIG) if meta else {}, state_dict=state), path)
        return str(path)

    return save


@pytest.fixture
def status(load_tool):
    """Return a function that runs calibrate.py and returns its exit status."""
    tool = load_tool('calibrate')

    def call(words):
        with pytest.raises(SystemExit) as end:
            tool.main(words)
        return end.value.code

    return call
