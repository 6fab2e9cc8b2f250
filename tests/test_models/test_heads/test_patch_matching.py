"""Patches and refined matches against loops over cells."""
import math

import torch

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.models.heads.patch_matching import patch_mask, refine_matches

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
        matches, found = refine_matches(
            similarity, pixel_mask, GRID, 0.1, reach)
        assert found.all()
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
    matches, _ = refine_matches(
        similarity, torch.ones_like(similarity, dtype=torch.bool), GRID, 0.1)
    assert (matches.pixels[0, 0] - target).norm() < 0.5
    hard, _ = refine_matches(
        similarity, torch.ones_like(similarity, dtype=torch.bool), GRID, 0.1, 0)
    assert (hard.pixels[0, 0] - target).norm() > 0.5


def test_gradients_reach_the_similarity_and_an_empty_mask_is_told():
    similarity = torch.rand(1, 2, ROWS * COLUMNS, requires_grad=True)
    pixel_mask = torch.ones(1, 2, ROWS * COLUMNS, dtype=torch.bool)
    pixel_mask[0, 1] = False
    matches, found = refine_matches(similarity, pixel_mask, GRID, 0.1)
    assert found.tolist() == [[True, False]] and matches.pixels.isfinite().all()
    matches.pixels[0, 0].sum().backward()
    assert (similarity.grad[0, 0] != 0).sum() >= 4 and similarity.grad.isfinite().all()
