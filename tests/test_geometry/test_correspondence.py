import numpy as np
import pytest
import torch

from nclr_plugin.geometry.camera import cell_centres, in_view
from nclr_plugin.geometry.correspondence import nearest_cell, pixel_overlap

HEIGHT, WIDTH, STRIDE = 30, 50, 4


def draw(count=60, views=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([WIDTH, HEIGHT])
    pixels = torch.rand(count, 2, generator=generator, dtype=torch.float64) * (size + 20) - 10
    view = torch.randint(views, (count,), generator=generator)
    depth = torch.randn(count, generator=generator)
    return pixels, in_view(pixels, depth, HEIGHT, WIDTH), view


@pytest.mark.parametrize('dilate', [0, 1, 2])
def test_overlap_agrees_with_brute_force(dilate):
    pixels, visible, view = draw()
    labels = pixel_overlap(pixels, visible, view, 4, HEIGHT, WIDTH, STRIDE, dilate)
    expected = np.zeros((4, 8, 13), dtype=bool)
    for (u, v), seen, k in zip(pixels.tolist(), visible.tolist(), view.tolist()):
        if seen:
            i, j = int((v + 0.5) // STRIDE), int((u + 0.5) // STRIDE)
            expected[k, max(i - dilate, 0):i + dilate + 1, max(j - dilate, 0):j + dilate + 1] = True
    assert labels.dtype == torch.bool
    np.testing.assert_array_equal(labels.numpy(), expected)
    assert not labels[3].any() and labels[:3].any()


def test_overlap_of_nothing_is_empty():
    pixels, visible, view = draw()
    assert not pixel_overlap(pixels, visible & False, view, 3, HEIGHT, WIDTH, STRIDE).any()
    assert not pixel_overlap(pixels[:0], visible[:0], view[:0], 3, HEIGHT, WIDTH, STRIDE).any()


def test_nearest_cell_agrees_with_brute_force():
    pixels, visible, _ = draw(count=500, seed=1)
    cell, distance = nearest_cell(pixels[visible], HEIGHT, WIDTH, STRIDE)
    centres = cell_centres(HEIGHT, WIDTH, STRIDE, dtype=torch.float64).view(-1, 2)
    expected_distance, expected = torch.cdist(pixels[visible], centres).min(1)
    torch.testing.assert_close(distance, expected_distance, atol=1e-4, rtol=0)
    assert torch.equal(cell, expected)
    assert distance.max() <= STRIDE / 2**0.5 + 1e-4


def test_nearest_cell_of_pixels_outside_lies_on_the_border():
    pixels = torch.tensor([[[-9., -9.], [999., 999.]]])
    cell, distance = nearest_cell(pixels, HEIGHT, WIDTH, STRIDE)
    assert cell.tolist() == [[0, 8 * 13 - 1]]
    assert (distance > STRIDE).all()
