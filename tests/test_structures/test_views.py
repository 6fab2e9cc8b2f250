import torch

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.models.layers.voxelization import voxelize
from nclr_plugin.structures import Views


def test_scans_are_counted_by_their_voxels_and_cells_by_the_image():
    scans = [torch.rand(50, 4) * 10, torch.rand(40, 4) * 10]
    views = Views(imgs=torch.zeros(3, 3, 33, 64), view_batch_index=torch.tensor([0, 0, 1]),
                  voxels=voxelize(scans, (0.5, 0.5, 0.5)), cam2img=torch.eye(3).expand(3, 3, 3))
    assert views.batch_size == 2 and views.lidar2cam is None
    assert views.grid(4) == CellGrid(height=33, width=64, stride=4)
    assert views.grid(4).shape == (9, 16)
