"""Superpoints of CrossI2P against loops over points; superpixels; attention between them."""
import sys
from types import SimpleNamespace

import torch

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.models.necks import superpoints
from nclr_plugin.models.necks.superpoints import (CoarseTransformer, SuperpixelPyramid,
                                                  SuperpointPooling, farthest_points,
                                                  group_superpoints)


def scene():
    torch.manual_seed(0)
    points = torch.rand(110, 3) * torch.tensor([20., 20, 2])
    batch = torch.tensor([0] * 60 + [1] * 45 + [2] * 5)
    return points, batch


def test_farthest_points_are_those_of_the_definition():
    points, batch = scene()
    own = points[:60]
    found = farthest_points(own[None], torch.ones(1, 60, dtype=torch.bool), 10,
                            torch.tensor([7]))[0].tolist()
    expected = [7]
    while len(expected) < 10:
        distance = [min(float((own[i] - own[j]).norm()) for j in expected) for i in range(60)]
        expected.append(max(range(60), key=lambda i: distance[i]))
    assert found == expected


def test_groups_are_the_points_within_the_radius():
    points, batch = scene()
    groups = group_superpoints(points, batch, 3, 8, radius=4., group_size=200)
    assert groups.centre.shape == (3, 8)
    assert groups.mask.sum(1).tolist() == [8, 8, 5]
    for scan in range(3):
        own = (batch == scan).nonzero()[:, 0]
        for group in range(int(groups.mask[scan].sum())):
            centre = groups.centre[scan, group]
            assert batch[centre] == scan
            near = {int(i) for i in own if (points[i] - points[centre]).norm() < 4}
            member = groups.member[scan, group][groups.member_mask[scan, group]]
            assert set(member.tolist()) == near and int(centre) in near


def test_the_nearest_members_stay_when_there_are_too_many():
    points, batch = scene()
    groups = group_superpoints(points, batch, 3, 4, radius=50., group_size=7)
    for group in range(4):
        distance = (points[:60] - points[groups.centre[0, group]]).norm(dim=1)
        assert set(groups.member[0, group].tolist()) == set(
            distance.topk(7, largest=False).indices.tolist())


def test_every_point_is_owned_by_the_nearest_centre():
    points, batch = scene()
    groups = group_superpoints(points, batch, 3, 8, radius=4., group_size=16)
    for i in range(len(points)):
        scan = int(batch[i])
        centres = groups.centre[scan][groups.mask[scan]]
        nearest = int((points[centres] - points[i]).norm(dim=1).argmin())
        assert int(groups.owner[i]) == scan * 8 + nearest


def test_pooling_is_the_largest_over_members_alone():
    points, batch = scene()
    torch.manual_seed(1)
    pooling = SuperpointPooling(5, 6, num_groups=8, radius=4., group_size=16)
    feats, groups = torch.randn(110, 5), pooling.group(points, batch, 3)
    assert torch.equal(
        groups.member, group_superpoints(points, batch, 3, 8, radius=4., group_size=16).member)
    found = pooling(feats, points, groups)
    assert (found[2, 5:] == 0).all()
    for scan in range(3):
        for group in range(int(groups.mask[scan].sum())):
            rows = groups.member[scan, group][groups.member_mask[scan, group]]
            offset = (points[rows] - points[groups.centre[scan, group]]) / 4
            expected = pooling.norm(pooling.mlp(torch.cat((feats[rows], offset), 1)).amax(0))
            torch.testing.assert_close(found[scan, group], expected)


def test_groups_do_not_depend_on_the_order_of_the_rows():
    points, batch = scene()
    order = torch.randperm(110)
    groups = group_superpoints(points, batch, 3, 8, radius=4., group_size=6)
    shuffled = group_superpoints(points[order], batch[order], 3, 8, radius=4., group_size=6)
    assert torch.equal(order[shuffled.centre][groups.mask], groups.centre[groups.mask])
    assert torch.equal(shuffled.member_mask, groups.member_mask)
    there = groups.member_mask
    assert torch.equal(order[shuffled.member][there], groups.member[there])
    assert torch.equal(shuffled.owner, groups.owner[order])


def test_members_far_from_the_origin_are_ranked_by_their_distance():
    """By products, float32 would have an error of centimetres at 1 km."""
    torch.manual_seed(0)
    points = torch.rand(300, 3) + torch.tensor([1000., 1000., 0.])
    groups = group_superpoints(points, torch.zeros(300).long(), 1, 2, radius=2., group_size=8)
    for centre, member in zip(groups.centre[0], groups.member[0]):
        distance = (points.double() - points[centre].double()).norm(dim=1)
        assert set(member.tolist()) == set(distance.topk(8, largest=False).indices.tolist())


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


def test_the_operator_of_a_gpu_chooses_the_same_points(monkeypatch):
    """By an operator that starts at column 0, as mmcv's does."""
    def operator(points, count):
        whole = torch.ones(points.shape[:2], dtype=torch.bool)
        return superpoints._sample(points, whole, count, torch.zeros(len(points)).long()).int()

    monkeypatch.setitem(sys.modules, 'mmcv.ops', SimpleNamespace(furthest_point_sample=operator))
    superpoints._gpu_sampling.cache_clear()
    torch.manual_seed(0)
    points = torch.randn(3, 50, 3)
    mask = torch.arange(50) < torch.tensor([50, 30, 12])[:, None]
    first = torch.tensor([7, 0, 11])
    expected = superpoints.farthest_points(points, mask, 20, first)
    monkeypatch.setattr(superpoints.devices, 'on_host', lambda tensor: False)
    try:
        found = superpoints.farthest_points(points, mask, 20, first)
    finally:
        superpoints._gpu_sampling.cache_clear()
    assert torch.equal(found, expected)


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
