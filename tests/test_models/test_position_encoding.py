"""The codes against their formula."""
import numpy as np
import torch

from nclr_plugin.models.position_encoding import cell_grid, sinusoidal_encoding


def test_position_code_is_sines_and_cosines_of_geometric_wavelengths():
    position = torch.tensor([[1.5, -2.0, 7.0]], dtype=torch.double)
    code = sinusoidal_encoding(position, 14, (2., 200.))[0].numpy()
    waves = np.array([2., 200.])
    angles = (position.numpy()[0][:, None] * 2 * np.pi / waves).ravel()
    np.testing.assert_allclose(code, np.concatenate((np.sin(angles), np.cos(angles), [0, 0])))


def test_grid_is_columns_and_rows_in_row_major_order():
    grid = cell_grid(2, 3, torch.zeros(1))
    assert grid.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
