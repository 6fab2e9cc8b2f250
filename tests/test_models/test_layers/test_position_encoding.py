"""The codes against their formula."""
import numpy as np
import torch

from nclr_plugin.models.layers.position_encoding import (cell_indices, circular_harmonics,
                                                         pixel_pos_encoding, point_pos_encoding,
                                                         rotate_harmonics, sinusoidal_encoding)


def test_position_code_is_sines_and_cosines_of_geometric_wavelengths():
    position = torch.tensor([[1.5, -2.0, 7.0]], dtype=torch.double)
    code = sinusoidal_encoding(position, 14, (2., 200.))[0].numpy()
    waves = np.array([2., 200.])
    angles = (position.numpy()[0][:, None] * 2 * np.pi / waves).ravel()
    np.testing.assert_allclose(code, np.concatenate((np.sin(angles), np.cos(angles), [0, 0])))


def test_grid_is_columns_and_rows_in_row_major_order():
    grid = cell_indices(2, 3, torch.zeros(1))
    assert grid.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]


def test_circular_harmonics_are_cosines_and_sines_of_multiples():
    code = circular_harmonics(torch.tensor(0.7, dtype=torch.double), 3).numpy()
    expected = [f(k * 0.7) for k in (1, 2, 3) for f in (np.cos, np.sin)]
    np.testing.assert_allclose(code, expected)


def test_turned_codes_are_codes_of_sums_and_differences():
    a, b = torch.tensor([0.3, 2.9]).double(), torch.tensor([-1.1, 1.4]).double()
    code = rotate_harmonics(circular_harmonics(a, 4), circular_harmonics(b, 4))
    torch.testing.assert_close(code, circular_harmonics(a + b, 4))
    code = rotate_harmonics(circular_harmonics(a, 4), circular_harmonics(b, 4), inverse=True)
    torch.testing.assert_close(code, circular_harmonics(a - b, 4))


def test_scan_code_of_a_turned_point_keeps_range_and_height_and_turns_azimuth():
    point, angle = torch.tensor([3., 4., -1.]).double(), 0.8
    c, s = np.cos(angle), np.sin(angle)
    turned = torch.tensor([3 * c - 4 * s, 3 * s + 4 * c, -1]).double()
    before, after = (point_pos_encoding(p, 48, (2., 200.)) for p in (point, turned))
    torch.testing.assert_close(before[24:36], after[24:36])  # range
    own = sinusoidal_encoding(torch.tensor([5.]).double(), 12, (2., 200.))
    torch.testing.assert_close(before[24:36], own)
    turn = circular_harmonics(torch.tensor(angle).double(), 6)
    torch.testing.assert_close(after[36:], rotate_harmonics(before[36:], turn))


def test_view_code_has_the_azimuth_where_the_scan_code_has_it():
    azimuth = torch.tensor([[0.2, -0.4, 1.]]).double()
    code = pixel_pos_encoding(2, circular_harmonics(azimuth, 8), 48, (4., 400.))
    assert code.shape == (1, 6, 48)
    for column in range(3):
        point = torch.tensor([np.cos(azimuth[0, column]), np.sin(azimuth[0, column]), 0]).double()
        for row in range(2):
            torch.testing.assert_close(
                code[0, 3 * row + column, 36:], point_pos_encoding(point, 48, (2., 200.))[36:])
    unknown = pixel_pos_encoding(2, torch.zeros(1, 3, 0), 48, (4., 400.))
    assert (unknown[..., 36:] == 0).all()
