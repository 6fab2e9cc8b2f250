import numpy as np
import pytest

from nclr_plugin.geometry.camera import cell_centres
from nclr_plugin.visualization.cells import enlarge_cells, map_stride


@pytest.mark.parametrize('height, width', [(40, 80), (41, 78)])
def test_every_pixel_gets_the_cell_with_the_nearest_centre(height, width):
    centres = cell_centres(height, width, 4).numpy()
    shape = centres.shape[:2]
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    distance = np.linalg.norm(pixels[:, :, None] - centres.reshape(-1, 2), axis=-1)
    cells = np.arange(shape[0] * shape[1]).reshape(shape)
    assert map_stride(shape, height, width) == 4
    found = enlarge_cells(cells, height, width, height, width)
    assert (found == distance.argmin(axis=-1)).all()
    twice = enlarge_cells(cells, height, width, 2 * height, 2 * width)
    assert (twice == found.repeat(2, axis=0).repeat(2, axis=1)).all()


def test_channels_stay():
    cells = np.random.default_rng(0).random((3, 5, 2))
    assert (enlarge_cells(cells, 12, 20, 12, 20)[::4, ::4] == cells).all()
