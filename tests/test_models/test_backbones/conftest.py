"""What the sparse U-Nets are run on."""
import pytest
import torch


@pytest.fixture
def assert_same_alone():
    """Function: network, two scans -> checks that each gives in the batch what it gives alone."""

    def check(net, voxels):
        first = voxels.coors[:, 0] == 0
        with torch.no_grad():
            both = net(voxels.feats, voxels.coors)
            alone = net(voxels.feats[first], voxels.coors[first])
            second = voxels.coors[~first] * torch.tensor([0, 1, 1, 1], dtype=torch.int32)
            other = net(voxels.feats[~first], second)
        torch.testing.assert_close(both[first], alone, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(both[~first], other, rtol=1e-4, atol=1e-5)

    return check
