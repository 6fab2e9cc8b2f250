import cv2
import numpy as np
import pytest

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.visualization import canvas
from nclr_plugin.visualization.canvas import enlarge_cells, map_stride


def panel(height, width, value=200):
    return np.full((height, width, 3), value, np.uint8)


def test_images_are_resized_to_a_width():
    for width, factor in ((320, 3.), (1280, .75)):
        fitted, scale = canvas.fit(panel(96, width), 960)
        assert fitted.shape == (round(96 * factor), 960, 3) and scale == factor
    assert canvas.enlarge(panel(96, 320), 960)[0].shape == (288, 960, 3)
    low, factor = canvas.fit(panel(400, 700), 960, height=200)
    assert low.shape == (200, 350, 3) and factor == .5
    same, factor = canvas.enlarge(panel(96, 1280), 960)
    assert same.shape == (96, 1280, 3) and factor == 1


def test_pixels_follow_the_enlargement():
    image = panel(20, 30, 0)
    image[7, 11] = 255
    big, factor = canvas.fit(image, 300)
    v, u = np.nonzero(big[..., 0] == big.max())
    assert np.allclose(canvas.scale_pixels(np.array([11., 7.]), factor), [u.mean(), v.mean()])


@pytest.mark.parametrize('text', ['IoU', 'a title that is a good deal longer than the panel'])
def test_text_ends_within_the_panel(text):
    strip = canvas.strip(text, 200)
    assert strip.shape == (canvas.TITLE_HEIGHT, 200, 3)
    written = np.nonzero((strip > 128).any(axis=(0, 2)))[0]
    assert len(written) and 4 <= written[0] and written[-1] < 199


def test_text_is_written_into_a_copy():
    image = panel(40, 40, 0)
    assert canvas.write(image, 'x', (5, 30)).any() and not image.any()


def test_panels_are_filled_up_to_a_rectangle():
    picture = canvas.stack([panel(10, 30, 1), panel(20, 20, 2)], space=4)
    assert picture.shape == (34, 30, 3)
    assert (picture[:10] == 1).all() and (picture[14:, :20] == 2).all()
    assert (picture[10:14] == canvas.BACKGROUND).all()
    assert (picture[14:, 20:] == canvas.BACKGROUND).all()
    picture = canvas.beside([panel(10, 30, 1), panel(20, 20, 2)])
    assert picture.shape == (20, 50, 3)
    assert (picture[:10, :30] == 1).all() and (picture[:, 30:] == 2).all()
    assert (picture[10:, :30] == canvas.BACKGROUND).all()


def test_titles_stand_above():
    picture = canvas.titled(panel(10, 300), 'x')
    assert picture.shape == (10 + canvas.TITLE_HEIGHT, 300, 3)
    assert (picture[-10:] == 200).all()


def test_bar_runs_from_top_to_bottom():
    bar = canvas.colour_bar(164, lambda level: np.repeat(100 + 100 * level[:, None], 3, axis=1),
                            [(0, 'top'), (1, 'bottom')])
    assert bar.shape == (164, canvas.BAR_WIDTH, 3)
    assert bar[32, 10, 0] == 100 and bar[131, 10, 0] == 200
    assert (np.diff(bar[32:132, 10, 0].astype(int)) >= 0).all()
    labels = (bar[:, 28:] > 128).any(axis=(1, 2)).nonzero()[0]
    assert abs(labels[0] - 32) < 8 and abs(labels[-1] - 131) < 8


def test_legend_shows_every_colour_and_breaks_lines():
    entries = [((255, 0, 0), 'first of them'), ((0, 255, 0), 'second of them')]
    for width, lines in ((600, 1), (220, 2)):
        drawn = canvas.legend(entries, width)
        assert drawn.shape == (lines * canvas.TITLE_HEIGHT, width, 3)
        for colour, _ in entries:
            assert (drawn == colour).all(axis=-1).sum() == 16**2


def test_colours_run_from_blue_to_red():
    low, middle, high = canvas.colour_scale(np.array([0., .5, 1.])).astype(int)
    assert low[2] > max(low[0], low[1]) and middle[1] > max(middle[0], middle[2])
    assert high[0] > 2 * max(high[1], high[2])
    assert (canvas.colour_scale(np.array([-3., 9.])) == np.array([low, high])).all()
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)
    assert (canvas.colour_scale(np.linspace(0, 1, 216)) == table[20:236, 0, ::-1]).all()


@pytest.mark.parametrize('height, width', [(40, 80), (41, 78)])
def test_every_pixel_gets_the_cell_with_the_nearest_centre(height, width):
    centres = CellGrid(height, width, stride=4).centres().numpy()
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


def test_pictures_are_written_as_rgb_and_a_failure_is_named(tmp_path):
    picture = panel(4, 5)
    picture[..., 0] = 10
    canvas.write_png(tmp_path / 'new' / 'picture.png', picture)
    written = cv2.imread(str(tmp_path / 'new' / 'picture.png'))
    np.testing.assert_array_equal(written[..., ::-1], picture)
    (tmp_path / 'folder.png').mkdir()
    with pytest.raises(OSError, match='folder.png: the picture could not be written'):
        canvas.write_png(tmp_path / 'folder.png', picture)
