"""CrossI2P's transformer: relative positions, padding, scans apart."""
import torch

from nclr_plugin.models.necks.coarse_transformer import CoarseTransformer


def make(views=3):
    torch.manual_seed(0)
    net = CoarseTransformer(8, num_heads=2, num_layers=2, ffn_channels=12)
    inputs = [torch.randn(2, 6, 8), torch.randn(2, 6, 3) * 10,
              torch.ones(2, 6, dtype=torch.bool), torch.randn(views, 8, 3, 4)]
    return net, inputs


def test_a_rigid_transform_changes_nothing():
    """Relative positions are distances, which a turn and a shift keep."""
    net, (points, centres, mask, pixels) = make()
    views = torch.tensor([0, 0, 1])
    before = net(points, centres, mask, pixels, views)
    angle = torch.tensor(1.1)
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]])
    after = net(points, centres @ turn.T + 7, mask, pixels, views)
    for a, b in zip(before, after):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    stretched = net(points, centres * 2, mask, pixels, views)
    assert (stretched[0] - before[0]).abs().max() > 1e-3


def test_scans_are_apart_and_padding_does_not_matter():
    net, (points, centres, mask, pixels) = make()
    mask[1, 4:] = False
    views = torch.tensor([0, 0, 1])
    whole = net(points, centres, mask, pixels, views)
    alone = net(points[1:, :4], centres[1:, :4], mask[1:, :4], pixels[2:], torch.tensor([0]))
    torch.testing.assert_close(whole[0][1, :4], alone[0][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(whole[1][2], alone[1][0], rtol=1e-4, atol=1e-4)


def test_a_scan_without_views_stays_finite():
    net, (points, centres, mask, pixels) = make()
    found = net(points, centres, mask, pixels, torch.tensor([0, 0, 0]))
    assert all(x.isfinite().all() for x in found)


def test_every_parameter_is_trained():
    net, (points, centres, mask, pixels) = make()
    found = net(points, centres, mask, pixels, torch.tensor([0, 0, 1]))
    (found[0].square().mean() * 2 + (found[1] - 1).abs().mean()).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []
