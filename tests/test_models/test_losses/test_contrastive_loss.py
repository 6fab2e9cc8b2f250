"""NCLR's Eq. 1 and CrossI2P's Eq. 1, 2, 5 and 6 against loops."""
import math

import numpy as np
import pytest
import torch

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.models.losses import (instance_loss, pixel_targets, pixel_to_point_loss,
                                       point_to_pixel_loss, printed_cross_modal_loss)


GRID = CellGrid(height=10, width=26, stride=2)  # 5 x 13 cells
MARGIN = 4.3  # pixels: about a quarter of the map lies nearer


def _problem(seed=0, valid=((1, 1, 1, 1), (1, 0, 1, 0))):
    """Logits, targets anywhere in the image, and the distances (V, K, L) to all cells."""
    torch.manual_seed(seed)
    valid = torch.tensor(valid).bool()
    logits = torch.randn(*valid.shape, 65)
    pixels = torch.rand(*valid.shape, 2) * torch.tensor([26., 10.]) - 0.5
    targets = pixel_targets(pixels, GRID, valid)
    distance = (pixels[:, :, None] - GRID.centres().view(-1, 2)).norm(dim=-1)
    assert (targets.cell == distance.argmin(2)).all()
    return logits, targets, distance


def test_point_to_pixel_is_the_equation():
    logits, targets, distance = _problem()
    positive, valid = targets.cell, targets.valid
    per_view = []
    for v in range(2):
        terms = []
        for i in range(4):
            if not valid[v, i]:
                continue
            pos = math.exp(logits[v, i, positive[v, i]])
            negatives = sum(
                math.exp(logits[v, i, j]) for j in range(65)
                if j != positive[v, i] and distance[v, i, j] > MARGIN)
            terms.append(-math.log(pos / (pos + negatives)))
        per_view.append(sum(terms) / len(terms))
    result = point_to_pixel_loss(logits, targets, MARGIN)
    assert math.isclose(result, sum(per_view) / 2, rel_tol=1e-5)


def test_pixel_to_point_is_the_equation_with_outside_points_as_negatives():
    logits, targets, distance = _problem(1, [[1, 1, 1, 0, 0, 0]])
    cell = targets.cell
    outside = torch.tensor([[False, False, False, False, True, True]])
    for negatives_too in (None, outside):
        terms = []
        for i in range(3):
            pixel = cell[0, i]
            pos = math.exp(logits[0, i, pixel])
            negatives = sum(math.exp(logits[0, j, pixel]) for j in range(3)
                            if j != i and distance[0, j, pixel] > MARGIN)
            if negatives_too is not None:
                negatives += sum(math.exp(logits[0, j, pixel]) for j in (4, 5))
            terms.append(-math.log(pos / (pos + negatives)))
        pairs = logits[0][:, cell[0]].T[None]
        result = pixel_to_point_loss(pairs, targets, MARGIN, negatives_too)
        assert math.isclose(result, sum(terms) / 3, rel_tol=1e-5)


def test_near_pairs_are_no_negatives():
    logits, targets, distance = _problem(2)
    near = distance <= MARGIN
    near.scatter_(-1, targets.cell[..., None], False)
    before = point_to_pixel_loss(logits, targets, MARGIN)
    after = point_to_pixel_loss(logits + 50 * near, targets, MARGIN)
    torch.testing.assert_close(before, after)


def test_a_view_without_points_adds_nothing_and_has_zero_gradient():
    logits, targets, _ = _problem()
    logits.requires_grad_()
    targets.valid[1] = False
    loss = point_to_pixel_loss(logits, targets, MARGIN)
    loss.backward()
    assert loss.isfinite() and (logits.grad[1] == 0).all() and logits.grad[0].abs().sum() > 0


def test_targets_are_the_nearest_cells_within_the_margin():
    grid = CellGrid(height=8, width=12, stride=4)  # centres at 1.5, 5.5, 9.5
    pixels = torch.tensor([[[1.5, 1.5], [9., 5.], [7.4, 3.4], [20., 1.5]]])
    valid = torch.tensor([[True, True, True, True]])
    found = pixel_targets(pixels, grid, valid, positive_margin=1.)
    assert found.cell.tolist() == [[0, 5, 1, 2]]
    assert found.valid.tolist() == [[True, True, False, False]]
    assert pixel_targets(pixels, grid, valid & False).valid.tolist() == [[False] * 4]


TAU = 0.2


def cosine(a, b):
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


def eq_1(a, b, i, skip):
    n = len(a)
    below = sum(math.exp(cosine(a[i], a[k]) / TAU) for k in range(n) if k != i and k not in skip)
    below += sum(math.exp(cosine(a[i], b[k]) / TAU) for k in range(n) if k not in skip)
    return -math.log(math.exp(cosine(a[i], b[i]) / TAU) / below)


def eq_5(z, h, i):
    n = len(z)
    below = sum(math.exp(cosine(z[i], z[k]) / TAU) for k in range(n))
    below += sum(math.exp(cosine(z[i], h[k]) / TAU) for k in range(n) if k != i)
    return -math.log(math.exp(cosine(z[i], h[i]) / TAU) / below)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 5)), rng.normal(size=(7, 5))


def call(loss, a, b, **kwargs):
    return float(loss(torch.tensor(a)[None], torch.tensor(b)[None], TAU, **kwargs))


def test_eq_1_and_2(pair):
    a, b = pair
    expected = sum(eq_1(a, b, i, ()) + eq_1(b, a, i, ()) for i in range(7)) / 14
    assert call(instance_loss, a, b) == pytest.approx(expected, rel=1e-5)


def test_eq_5_and_6_as_printed(pair):
    z, h = pair
    expected = sum(eq_5(z, h, i) + eq_5(h, z, i) for i in range(7)) / 14
    assert call(printed_cross_modal_loss, z, h) == pytest.approx(expected, rel=1e-5)


def test_one_instance_leaves_nothing_but_attraction(pair):
    a, b = pair[0][:1], pair[1][:1]
    assert call(instance_loss, a, b) == pytest.approx(0, abs=1e-6)
    assert call(printed_cross_modal_loss, a, b) == pytest.approx(
        (1 - cosine(a[0], b[0])) / TAU, rel=1e-5)


def test_absent_and_ignored_instances_are_no_negatives(pair):
    a, b = pair
    valid = torch.tensor([[True] * 5 + [False] * 2])
    ignored = torch.zeros(1, 7, 7, dtype=torch.bool)
    ignored[0, 0, 1] = ignored[0, 1, 0] = True
    near = {0: {1, 5, 6}, 1: {0, 5, 6}}
    skip = {i: near.get(i, {5, 6}) for i in range(5)}
    expected = sum(eq_1(a, b, i, skip[i]) + eq_1(b, a, i, skip[i]) for i in range(5)) / 10
    assert call(instance_loss, a, b, valid=valid, ignored=ignored) == pytest.approx(
        expected, rel=1e-5)


@pytest.mark.parametrize('loss', [instance_loss, printed_cross_modal_loss])
def test_gradients_are_finite_without_instances(loss, pair):
    a, b = (torch.tensor(x)[None].requires_grad_() for x in pair)
    value = loss(a, b, TAU, valid=torch.zeros(1, 7, dtype=torch.bool))
    value.backward()
    assert value == 0 and a.grad.abs().sum() == 0


def test_gradients_match_differences(pair):
    a = torch.tensor(pair[0][:4])[None].float().requires_grad_()
    b = torch.tensor(pair[1][:4])[None].float()
    instance_loss(a, b, TAU).backward()
    step = torch.zeros_like(a)
    step[0, 2, 3] = 1e-2
    difference = (instance_loss(a + step, b, TAU) - instance_loss(a - step, b, TAU)) / 2e-2
    assert float(a.grad[0, 2, 3]) == pytest.approx(float(difference), rel=1e-2)
