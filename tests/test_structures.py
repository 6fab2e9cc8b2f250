import pickle

import numpy as np
import pytest
import torch

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.models.layers.voxelization import voxelize
from nclr_plugin.structures import CalibrationDataSample, Views


def sample(views=2):
    data = CalibrationDataSample(metainfo=dict(frame_id='00/000012', rigid_transform=np.eye(4)))
    data.lidar2cam = torch.eye(4, dtype=torch.float64).repeat(views, 1, 1)
    data.cam2img = torch.eye(3, dtype=torch.float64).repeat(views, 1, 1)
    return data


def test_keeps_fields_and_meta_information_through_pickle_and_conversion():
    data = sample()
    data.pred_valid = torch.tensor([True, False])
    copy = pickle.loads(pickle.dumps(data)).to('cpu').detach()
    assert copy.frame_id == '00/000012'
    assert copy.lidar2cam.dtype == torch.float64 and copy.pred_valid.tolist() == [True, False]
    assert isinstance(copy.numpy().lidar2cam, np.ndarray)


@pytest.mark.parametrize('name, value', [
    ('lidar2cam', torch.zeros(4, 4)),
    ('cam2img', torch.zeros(2, 4, 4)),
    ('pred_lidar2cam', torch.zeros(2, 3, 4)),
    ('pred_valid', torch.zeros(2, 1)),
    ('pred_inlier_ratio', 0.5),
    ('pred_reprojection_error', torch.tensor(1.0)),
    ('pred_point_overlap', torch.zeros(7)),
    ('pred_pixel_overlap', torch.zeros(2, 12)),
    ('gt_point_overlap', torch.zeros(2, 3, 4, dtype=torch.bool)),
    ('gt_pixel_overlap', [torch.zeros(3, 4)]),
])
def test_refuses_other_shapes(name, value):
    data = sample()
    with pytest.raises(ValueError, match=rf'{name}: expected a tensor of shape \(V,'):
        setattr(data, name, value)


def test_the_message_names_the_sides_and_what_was_found():
    with pytest.raises(ValueError) as error:
        sample().pred_pixel_overlap = torch.zeros(2, 12)
    assert str(error.value) == ("pred_pixel_overlap: expected a tensor of shape (V, H', W'), found "
                                'Tensor of shape (2, 12).')


@pytest.mark.parametrize('voxels, height, width', [(0, 1, 1), (9, 4, 5)])
def test_overlap_takes_any_number_of_voxels_and_cells(voxels, height, width):
    data = sample()
    data.pred_point_overlap = torch.rand(2, voxels)
    data.gt_point_overlap = torch.rand(2, voxels) > 0.5
    data.pred_pixel_overlap = torch.rand(2, height, width)
    data.gt_pixel_overlap = torch.rand(2, height, width) > 0.5
    assert data.pred_point_overlap.shape == (2, voxels)
    assert data.gt_pixel_overlap.shape == (2, height, width)


def test_other_fields_are_free():
    data = sample()
    data.pred_matches = [1, 2]
    assert data.pred_matches == [1, 2] and 'pred_matches' in data


def test_scans_are_counted_by_their_voxels_and_cells_by_the_image():
    scans = [torch.rand(50, 4) * 10, torch.rand(40, 4) * 10]
    views = Views(imgs=torch.zeros(3, 3, 33, 64), view_batch_index=torch.tensor([0, 0, 1]),
                  voxels=voxelize(scans, (0.5, 0.5, 0.5)), cam2img=torch.eye(3).expand(3, 3, 3))
    assert views.batch_size == 2 and views.lidar2cam is None
    assert views.grid(4) == CellGrid(height=33, width=64, stride=4)
    assert views.grid(4).shape == (9, 16)
