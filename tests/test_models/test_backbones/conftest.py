"""What the sparse U-Nets are run on."""
import pytest
import torch

from nclr_plugin.models.voxelization import voxelize


@pytest.fixture
def voxels():
    """Of two scans."""
    torch.manual_seed(0)
    return voxelize([torch.randn(600, 4) * 5, torch.randn(500, 4) * 4], (0.5, 0.5, 0.5))
