"""Offsets to the centres of objects."""
import numpy as np
import pytest
import torch

from nclr_plugin.models.heads import OffsetHead
from nclr_plugin.models.heads.offset_head import box_centres

pytest.importorskip('mmdet')


def test_box_centres():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(0, 5, (500, 3)), rng.integers(0, 7, (500, 2))
    expected = np.empty_like(points)
    for label in np.unique(labels, axis=0):
        rows = (labels == label).all(axis=1)
        expected[rows] = (points[rows].min(axis=0) + points[rows].max(axis=0)) / 2
    centres = box_centres(torch.from_numpy(points), torch.from_numpy(labels))
    np.testing.assert_allclose(centres.numpy(), expected)


def loss_of(head, centres, points, semantic, instance):
    return head.loss(*([torch.as_tensor(t)] for t in (centres, points, semantic, instance)))


def test_loss_is_the_mean_l1_distance_of_the_points_of_instances():
    points = torch.tensor([[0., 0, 0], [2, 0, 0], [10, 0, 0], [10, 4, 0], [5, 5, 5], [6, 6, 6]])
    semantic = torch.tensor([0, 0, 0, 1, 0, 9])  # the last is stuff, the one before has no id
    instance = torch.tensor([1, 1, 2, 2, 0, 3])
    centres = torch.zeros(6, 3)
    # True centres: (1, 0, 0) twice, (10, 0, 0), and (10, 4, 0): one id, but another class.
    loss = loss_of(OffsetHead(4, thing_classes=[0, 1]), centres, points, semantic, instance)
    assert float(loss['loss_offset']) == pytest.approx((1 + 1 + 10 + 14) / 4)


def test_perfect_centres_cost_nothing_and_no_instance_costs_nothing():
    head = OffsetHead(4, thing_classes=[0])
    points = torch.rand(20, 3)
    semantic, instance = torch.zeros(20).long(), torch.arange(20) // 10 + 1
    true = box_centres(points, instance[:, None])
    assert float(loss_of(head, true, points, semantic, instance)['loss_offset']) == 0
    centres = torch.rand(20, 3, requires_grad=True)
    loss = loss_of(head, centres, points, semantic, torch.zeros(20).long())['loss_offset']
    loss.backward()
    assert float(loss) == 0 and float(centres.grad.abs().max()) == 0


def test_scans_have_instances_of_their_own():
    head = OffsetHead(4, thing_classes=[0])
    points = [torch.zeros(3, 3), torch.full((3, 3), 8.)]
    masks = [torch.zeros(3).long()] * 2, [torch.ones(3).long()] * 2
    assert float(head.loss(points, points, *masks)['loss_offset']) == 0


def test_forward_shape():
    assert OffsetHead(16, thing_classes=[0])(torch.rand(9, 16)).shape == (9, 3)
