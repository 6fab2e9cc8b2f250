import torch

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.models.necks.superpixels import SuperpixelPyramid


def test_levels_are_weighed_at_one_stride():
    torch.manual_seed(0)
    pyramid = SuperpixelPyramid((3, 4, 5), 6)
    maps = [torch.randn(2, 3, 12, 20), torch.randn(2, 4, 6, 10), torch.randn(2, 5, 2, 3)]
    with torch.no_grad():
        pyramid.level_logits.copy_(torch.tensor([0.3, -0.2, 1.]))
    found = pyramid(maps, CellGrid(48, 80, stride=16))
    assert found.shape == (2, 6, 3, 5)
    weights = pyramid.level_logits.exp() / pyramid.level_logits.exp().sum()
    one, two, three = (proj(level) for proj, level in zip(pyramid.projections, maps))
    cells = torch.stack([torch.stack([
        one[:, :, 4 * i:4 * i + 4, 4 * j:4 * j + 4].mean((2, 3)) * weights[0]
        + two[:, :, 2 * i:2 * i + 2, 2 * j:2 * j + 2].mean((2, 3)) * weights[1]
        for j in range(5)], -1) for i in range(3)], -2)
    three = torch.nn.functional.interpolate(three, (3, 5), mode='bilinear')
    torch.testing.assert_close(found, pyramid.norm(cells + weights[2] * three))


def test_every_level_is_trained():
    pyramid = SuperpixelPyramid((3, 4), 6)
    maps = [torch.randn(1, 3, 8, 8), torch.randn(1, 4, 4, 4)]
    pyramid(maps, CellGrid(32, 32, stride=8)).square().mean().backward()
    assert all(p.grad is not None for p in pyramid.parameters())
