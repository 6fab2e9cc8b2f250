"""The sliding comparison against brute force, the probs's code, its loss, what it can learn."""
import math

import numpy as np
import pytest
import torch

from nclr_plugin.models.heads.yaw_head import (YawHead, YawPrediction,
                                               _circular_correlation, _interpolate)
from nclr_plugin.models.layers.attention import circular_harmonics


@pytest.fixture
def head():
    torch.manual_seed(0)
    return YawHead(6, 5, embed_dims=8, num_sectors=36, num_harmonics=3)


def _inputs(num_views=2, width=9):
    sector = (torch.arange(36) + 18) % 36 - 18
    columns = torch.where(sector.abs() < 9, width // 2 - sector, torch.inf)
    return dict(
        point_feats=torch.randn(300, 6), points=20 * torch.randn(300, 3),
        point_batch_index=torch.arange(300) // 200, pixel_feats=torch.randn(num_views, 5, 4, width),
        columns=columns.expand(num_views, -1),
        view_batch_index=torch.tensor([0, 1])[:num_views], batch_size=2)


def test_sliding_is_the_circular_correlation():
    scan, image = torch.randn(2, 4, 12), torch.randn(2, 4, 12)
    found = _circular_correlation(scan, image)
    for view in range(2):
        for turn in range(12):
            rolled = np.roll(scan[view].numpy(), -turn, 1)
            assert abs(found[view, turn] - (rolled * image[view].numpy()).sum()) < 1e-4


def test_columns_are_interpolated_linearly():
    columns, where = torch.randn(2, 3, 7), torch.tensor([[0., 0.4, 5.9, 6.], [3., 2.5, 1.1, 0.9]])
    found = _interpolate(columns, where)
    for view in range(2):
        for channel in range(3):
            expected = np.interp(where[view], np.arange(7), columns[view, channel])
            np.testing.assert_allclose(found[view, channel], expected, rtol=1e-5, atol=1e-6)


def test_a_turned_scan_turns_the_probs(head):
    """By whole sectors, exactly: the head knows no direction but the image's."""
    inputs = _inputs()
    before = head(**inputs)
    angle = 5 * 2 * math.pi / 36
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0],
                         [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    after = head(**{**inputs, 'points': inputs['points'] @ turn.T})
    torch.testing.assert_close(after.logits, before.logits.roll(5, 1), rtol=1e-3, atol=1e-3)


def test_scans_and_views_are_kept_apart(head):
    inputs = _inputs()
    before = head(**inputs).logits
    inputs['pixel_feats'][1] += 1
    after = head(**inputs).logits
    torch.testing.assert_close(after[0], before[0])
    assert (after[1] - before[1]).abs().max() > 1e-4
    inputs['point_feats'][200:] += 1
    torch.testing.assert_close(head(**inputs).logits[0], before[0])


def test_code_is_the_expected_code_of_the_sectors(head):
    yaw = head(**_inputs())
    centres = torch.arange(36) * 2 * math.pi / 36
    for view in range(2):
        prob = yaw.logits[view].softmax(0)
        expected = (prob[:, None] * circular_harmonics(centres, 3)).sum(0)
        torch.testing.assert_close(yaw.code[view], expected)


def test_in_evaluation_a_second_hypothesis_does_not_blur_the_code(head):
    head.eval()
    logits = torch.full((1, 36), -9.)
    logits[0, [4, 5]] = 2.
    alone = head.mode_probs(logits, 0)
    logits[0, 23] = 1.9
    torch.testing.assert_close(head.mode_probs(logits, 0), alone, atol=1e-3, rtol=0)


def test_hypotheses_are_the_modes_in_order_of_probs():
    head = YawHead(point_channels=4, pixel_channels=4, num_sectors=192).eval()
    logits = torch.full((2, 192), -9.)
    logits[0, [190, 191, 1]] = torch.tensor([2., 3., 2.5])  # one direction, round the end
    logits[0, 95] = 1.
    logits[1, [20, 120, 60]] = torch.tensor([0., 1., 0.5])
    for hypothesis, sectors in enumerate(((191, 120), (95, 60))):
        probs = head.mode_probs(logits, hypothesis)
        assert probs.argmax(1).tolist() == list(sectors)
        torch.testing.assert_close(probs.sum(1), torch.ones(2))
    assert head.mode_probs(logits, 1)[0, [190, 191, 1]].sum() == 0
    prob, shares = logits.softmax(1), head.hypothesis_probs(logits)
    assert shares[0, 0] == pytest.approx(float(prob[0, 183:].sum() + prob[0, :8].sum()))
    assert shares[1, 1] == pytest.approx(float(prob[1, 52:69].sum()))


@pytest.mark.parametrize('degrees', [0., 12., 178., -95.])
def test_loss_is_least_for_the_true_yaw(head, degrees):
    yaw = math.radians(degrees)
    # A camera whose optical axis (third row) has this azimuth in the LiDAR frame.
    lidar2cam = torch.eye(4)[None].clone()
    lidar2cam[0, 2, :3] = torch.tensor([math.cos(yaw), math.sin(yaw), 0])
    losses = []
    for sector in range(36):
        logits = torch.zeros(1, 36)
        logits[0, sector] = 5.
        losses.append(float(head.loss(YawPrediction(logits, None), lidar2cam)))
    assert int(np.argmin(losses)) == round(degrees / 10) % 36
    sharp = torch.full((1, 36), -20.)
    lower, part = math.floor(degrees / 10), degrees / 10 - math.floor(degrees / 10)
    sharp[0, lower % 36] = math.log(max(1 - part, 1e-9))
    sharp[0, (lower + 1) % 36] = math.log(max(part, 1e-9))
    entropy = -sum(p * math.log(p) for p in (part, 1 - part) if p > 0)
    assert abs(float(head.loss(YawPrediction(sharp, None), lidar2cam)) - entropy) < 1e-3


def test_gradients_reach_every_parameter_through_loss_and_code(head):
    yaw = head(**_inputs())
    yaw.code.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_an_empty_sector_or_a_view_without_columns_is_finite(head):
    inputs = _inputs()
    inputs['points'] = torch.tensor([[10., 0, 0]]).repeat(300, 1)
    yaw = head(**inputs)
    assert yaw.logits.isfinite().all() and yaw.code.isfinite().all()
