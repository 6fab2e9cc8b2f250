"""Eq. 1 in both directions against slow transcriptions."""
import math

import torch

from nclr_plugin.models.losses import pixel_to_point_loss, point_to_pixel_loss


def _problem(seed=0):
    torch.manual_seed(seed)
    logits = torch.randn(2, 4, 6)
    positive = torch.randint(6, (2, 4))
    distance = torch.rand(2, 4, 6) * 5
    valid = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0]]).bool()
    return logits, positive, distance, valid


def test_point_to_pixel_is_the_equation():
    logits, positive, distance, valid = _problem()
    per_view = []
    for v in range(2):
        terms = []
        for i in range(4):
            if not valid[v, i]:
                continue
            pos = math.exp(logits[v, i, positive[v, i]])
            negatives = sum(
                math.exp(logits[v, i, j]) for j in range(6)
                if j != positive[v, i] and distance[v, i, j] > 2)
            terms.append(-math.log(pos / (pos + negatives)))
        per_view.append(sum(terms) / len(terms))
    result = point_to_pixel_loss(logits, positive, distance, valid, 2.)
    assert math.isclose(result, sum(per_view) / 2, rel_tol=1e-5)


def test_pixel_to_point_is_the_equation_with_outside_points_as_negatives():
    torch.manual_seed(1)
    logits, distance = torch.randn(1, 6, 6), torch.rand(1, 6, 6) * 5
    valid = torch.tensor([[True, True, True, False, False, False]])
    outside = torch.tensor([[False, False, False, False, True, True]])
    for seen_by_nobody in (None, outside):
        terms = []
        for i in range(3):
            pos = math.exp(logits[0, i, i])
            negatives = sum(
                math.exp(logits[0, i, j]) for j in range(3) if j != i and distance[0, i, j] > 2)
            if seen_by_nobody is not None:
                negatives += sum(math.exp(logits[0, i, j]) for j in (4, 5))
            terms.append(-math.log(pos / (pos + negatives)))
        result = pixel_to_point_loss(logits, distance, valid, 2., seen_by_nobody)
        assert math.isclose(result, sum(terms) / 3, rel_tol=1e-5)


def test_near_pairs_are_no_negatives():
    logits, positive, distance, valid = _problem(2)
    near = distance <= 2
    near.scatter_(-1, positive[..., None], False)
    before = point_to_pixel_loss(logits, positive, distance, valid, 2.)
    after = point_to_pixel_loss(logits + 50 * near, positive, distance, valid, 2.)
    torch.testing.assert_close(before, after)


def test_a_view_without_points_adds_nothing_and_has_zero_gradient():
    logits, positive, distance, valid = _problem()
    logits.requires_grad_()
    valid[1] = False
    loss = point_to_pixel_loss(logits, positive, distance, valid, 2.)
    loss.backward()
    assert loss.isfinite() and (logits.grad[1] == 0).all() and logits.grad[0].abs().sum() > 0
