"""Eq. 2, 4 and 5, the aligned space, patches and refined matches, against loops."""
import math

import pytest
import torch

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.models.heads import MatchingHead, matching_head
from nclr_plugin.models.heads.matching_head import patch_mask, refine_matches
from nclr_plugin.models.losses import pixel_targets


@pytest.fixture
def head():
    torch.manual_seed(0)
    head = MatchingHead(6, 5, embed_dims=4)
    with torch.no_grad():
        head.alignment_weight += 0.3 * torch.randn(4, 4)
    return head


def _inputs():
    return torch.randn(7, 6), torch.randn(7, 3), torch.randn(1, 5, 3, 4), torch.randn(1, 4, 8)


def embed(head, points, where, maps, azimuth):
    """Features of points and pixels."""
    return head.embed_points(points, where), head.embed_pixels(maps, azimuth)


def test_loss_is_the_cross_entropy_both_ways(head):
    """Without pairs near each other all others are negatives."""
    grid = CellGrid(8, 12, 4)
    centres = grid.centres(torch.float32).view(-1, 2)
    cells = torch.tensor([0, 2, 4])
    targets = pixel_targets(centres[cells][None], grid, torch.ones(1, 3, dtype=torch.bool))
    points, pixels = torch.randn(1, 3, 4), torch.randn(1, 6, 4)
    losses = head.loss(points, pixels, targets, 1.)
    logits = head.similarity(points, pixels)[0] / head.temperature
    torch.testing.assert_close(
        losses['loss_point'], torch.nn.functional.cross_entropy(logits, cells))
    torch.testing.assert_close(losses['loss_pixel'], torch.nn.functional.cross_entropy(
        logits[:, cells].T, torch.arange(3)))


def test_similarity_is_the_cosine_at_the_start_and_without_alignment():
    torch.manual_seed(0)
    points, maps = torch.randn(7, 6), torch.randn(2, 5, 3, 4)
    for alignment in (True, False):
        head = MatchingHead(6, 5, embed_dims=4, alignment=alignment)
        f_points, f_pixels = embed(head, points, torch.randn(7, 3), maps, torch.randn(2, 4, 8))
        similarity = head.similarity(f_points, f_pixels[0])
        expected = torch.cosine_similarity(f_points[:, None], f_pixels[0][None], dim=-1)
        torch.testing.assert_close(similarity, expected)
        assert similarity.abs().max() <= 1 + 1e-6


def test_features_depend_on_content_and_on_position(head):
    points, where, maps, azimuth = _inputs()
    f_points, f_pixels = embed(head, points, where, maps, azimuth)
    assert (embed(head, points + 1, where, maps, azimuth)[0] - f_points).abs().amax(1).min() > 1e-4
    assert (embed(head, points, where + 1, maps, azimuth)[0] - f_points).abs().amax(1).min() > 1e-4
    assert (embed(head, points, where, maps + 1, azimuth)[1] - f_pixels).abs().amax(2).min() > 1e-4
    turned = embed(head, points, where, maps, azimuth + 1)[1]
    assert (turned - f_pixels).abs().amax(2).min() > 1e-4
    _, flat = embed(head, points, where, torch.zeros(1, 5, 3, 4), torch.zeros(1, 4, 0))
    assert torch.cdist(flat[0], flat[0]).fill_diagonal_(1).min() > 1e-4


def test_alignment_matrix_is_symmetric_and_learned(head):
    matrix = head.alignment_matrix
    torch.testing.assert_close(matrix, matrix.T)
    f_points, f_pixels = embed(head, *_inputs())
    torch.testing.assert_close(
        head.similarity(f_points, f_pixels[0]), f_points @ matrix @ f_pixels[0].T)
    head.similarity(f_points, f_pixels[0]).square().sum().backward()
    assert head.alignment_weight.grad.abs().max() > 0


def test_aligned_space_has_the_similarity_as_dot_product(head):
    with torch.no_grad():
        head.alignment_weight[0, 0] = -2.  # a negative eigenvalue
    f_points, f_pixels = embed(head, *_inputs())
    points, pixels = head.aligned_features(f_points, f_pixels[0])
    torch.testing.assert_close(
        points @ pixels.T, head.similarity(f_points, f_pixels[0]), rtol=1e-4, atol=1e-5)


def test_matches_are_the_equations_within_the_mask(head):
    f_points, f_pixels = embed(head, torch.randn(3, 6), torch.randn(3, 3), torch.randn(1, 5, 2, 3),
                               torch.zeros(1, 3, 0))
    centres = torch.rand(6, 2) * 10
    pixel_mask = torch.tensor([[1, 0, 1, 1, 0, 1]]).bool()
    similarity = head.similarity(f_points, f_pixels[0])
    hard = head.match(f_points[None], f_pixels, centres, pixel_mask, 'hard')
    soft = head.match(f_points[None], f_pixels, centres, pixel_mask, 'soft')
    for i in range(3):
        allowed = [j for j in range(6) if pixel_mask[0, j]]
        best = max(allowed, key=lambda j: similarity[i, j])
        torch.testing.assert_close(hard.pixels[0, i], centres[best])
        weight = torch.stack([(similarity[i, j] / head.match_temperature).exp() for j in allowed])
        expected = (weight[:, None] * centres[allowed]).sum(0) / weight.sum()
        torch.testing.assert_close(soft.pixels[0, i], expected, rtol=1e-4, atol=1e-4)
        assert torch.isclose(soft.similarity[0, i], similarity[i, best])
        assert hard.cell[0, i] == soft.cell[0, i] == best


@pytest.mark.parametrize('mode', ['soft', 'hard'])
def test_matches_in_evaluation_leave_cells_out_and_go_by_blocks(head, mode, monkeypatch):
    points = torch.nn.functional.normalize(torch.randn(2, 7, 4), dim=-1)
    pixels = torch.nn.functional.normalize(torch.randn(2, 30, 4), dim=-1)
    pixel_mask = torch.rand(2, 30) > .7
    args = points, pixels, torch.rand(30, 2) * 100, pixel_mask, mode
    expected = head.match(*args)
    monkeypatch.setattr(matching_head, 'POINTS_AT_ONCE', 3)
    with torch.no_grad():
        found = head.match(*args)
        nothing = head.match(*args[:3], torch.zeros_like(pixel_mask), mode)
    for value, other in zip(found, expected):
        torch.testing.assert_close(value, other)
    assert pixel_mask.gather(1, found.cell).all()
    assert nothing.pixels.isfinite().all() and nothing.pixels.shape == (2, 7, 2)


def test_soft_match_is_differentiable_and_finite_for_an_empty_mask(head):
    f_points, f_pixels = embed(head, torch.randn(3, 6), torch.randn(3, 3), torch.randn(1, 5, 2, 3),
                               torch.zeros(1, 3, 0))
    centres = torch.rand(6, 2)
    none = torch.zeros(1, 6, dtype=torch.bool)
    found = head.match(f_points[None], f_pixels, centres, none)
    assert found.pixels.isfinite().all() and found.similarity.isfinite().all()
    head.match(f_points[None], f_pixels, centres, ~none).pixels.sum().backward()
    assert all(p.grad is not None for p in head.parameters())


def test_unknown_mode_is_named():
    with pytest.raises(ValueError, match='"firm"'):
        MatchingHead(4, 4, match='firm')


STRIDE = 4
GRID = CellGrid(height=32, width=48, stride=STRIDE)
ROWS, COLUMNS = 8, 12


def centre(row, column, stride):
    return (column + 0.5) * stride - 0.5, (row + 0.5) * stride - 0.5


def test_patches_are_the_superpixel_and_its_margin():
    for margin in (0, 2):
        found = patch_mask(torch.arange(6), GRID._replace(stride=16), GRID, margin)
        for cell in range(6):
            row, column = divmod(cell, 3)
            inside = {(i, j) for i in range(ROWS) for j in range(COLUMNS)
                      if 4 * row - margin <= i < 4 * row + 4 + margin
                      and 4 * column - margin <= j < 4 * column + 4 + margin}
            assert {divmod(int(i), COLUMNS) for i in found[cell].nonzero()} == inside


def reference(similarity, pixel_mask, temperature, reach):
    best = max((i for i in range(len(similarity)) if pixel_mask[i]), key=lambda i: similarity[i])
    row, column = divmod(best, COLUMNS)
    total, pixel = 0., [0., 0.]
    for i in range(row - reach, row + reach + 1):
        for j in range(column - reach, column + reach + 1):
            cell = i * COLUMNS + j
            if 0 <= i < ROWS and 0 <= j < COLUMNS and pixel_mask[cell]:
                weight = math.exp((similarity[cell] - similarity[best]) / temperature)
                total += weight
                for axis, value in enumerate(centre(i, j, STRIDE)):
                    pixel[axis] += weight * value
    return [value / total for value in pixel], similarity[best]


def test_refinement_is_the_mean_around_the_best_cell():
    torch.manual_seed(0)
    similarity = torch.rand(2, 9, ROWS * COLUMNS).double()
    pixel_mask = torch.rand(2, 9, ROWS * COLUMNS) < 0.6
    similarity[0, 0, 0], pixel_mask[0, 0, 0] = 2., True  # a corner
    for reach in (0, 1, 2):
        matches = refine_matches(similarity, pixel_mask, GRID, 0.1, reach)
        assert matches.valid.all()
        for view in range(2):
            for point in range(9):
                pixel, best = reference(similarity[view, point].tolist(),
                                        pixel_mask[view, point].tolist(), 0.1, reach)
                torch.testing.assert_close(matches.pixels[view, point],
                                           torch.tensor(pixel).double(), rtol=1e-4, atol=1e-4)
                assert float(matches.similarity[view, point]) == best


def test_refinement_finds_a_peak_between_cells():
    target = torch.tensor([21.3, 12.9]).double()
    cells = torch.tensor([centre(i, j, STRIDE) for i in range(ROWS) for j in range(COLUMNS)])
    similarity = -((cells.double() - target)**2).sum(1)[None, None] / 100
    matches = refine_matches(
        similarity, torch.ones_like(similarity, dtype=torch.bool), GRID, 0.1)
    assert (matches.pixels[0, 0] - target).norm() < 0.5
    hard = refine_matches(
        similarity, torch.ones_like(similarity, dtype=torch.bool), GRID, 0.1, 0)
    assert (hard.pixels[0, 0] - target).norm() > 0.5


def test_gradients_reach_the_similarity_and_an_empty_mask_is_reported():
    similarity = torch.rand(1, 2, ROWS * COLUMNS, requires_grad=True)
    pixel_mask = torch.ones(1, 2, ROWS * COLUMNS, dtype=torch.bool)
    pixel_mask[0, 1] = False
    matches = refine_matches(similarity, pixel_mask, GRID, 0.1)
    assert matches.valid.tolist() == [[True, False]] and matches.pixels.isfinite().all()
    matches.pixels[0, 0].sum().backward()
    assert (similarity.grad[0, 0] != 0).sum() >= 4 and similarity.grad.isfinite().all()
