"""Cell centres of features, and projections of sampled points."""
import torch

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.models.pretrainers.features import Features, GroundTruth


def test_centres_are_the_means_of_the_pixels_of_each_cell():
    grid = CellGrid(8, 12, 4)
    features = Features(None, None, torch.zeros(1, 6, 5), grid, None, None, None, None)
    v, u = torch.meshgrid(torch.arange(8.), torch.arange(12.), indexing='ij')
    pixels = torch.stack((u, v), -1).view(2, 4, 3, 4, 2).mean((1, 3)).view(-1, 2)
    torch.testing.assert_close(features.centres, pixels)


def test_projections_of_sampled_points_are_theirs():
    pixels = torch.rand(2, 7, 2)
    truth = GroundTruth(pixels, None, None)
    columns = torch.tensor([[6, 0, 0], [1, 2, 3]])
    expected = torch.stack([pixels[0, [6, 0, 0]], pixels[1, [1, 2, 3]]])
    assert torch.equal(truth.take_pixels(columns), expected)
