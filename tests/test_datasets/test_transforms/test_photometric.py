import copy

import numpy as np
import pytest

from nclr_plugin.datasets import ColorJitter, ImageOcclusion, PointNoise

LUMA = [0.299, 0.587, 0.114]


class Draws:
    """A generator that draws what it is told, as shares of the range."""

    def __init__(self, *shares):
        self.shares = np.array(shares)

    def uniform(self, low, high):
        return self.shares * high


@pytest.fixture
def img():
    return np.random.default_rng(0).integers(60, 190, (20, 30, 3), dtype=np.uint8)


def distort(img, shares, **limits):
    results = dict(imgs=[img], rng=Draws(*shares))
    return ColorJitter(**limits)(results)['imgs'][0]


def expect(found, expected):
    assert found.dtype == np.uint8
    # Rounding, and the fixed-point arithmetic of OpenCV for 8-bit images.
    np.testing.assert_allclose(found, np.clip(expected, 0, 255), atol=0.8)


def test_brightness_scales(img):
    expect(distort(img, (1, 0, 0, 0), brightness=0.2), img * 1.2)
    expect(distort(img, (1, 0, 0, 0), brightness=0.9), img * 1.9)


def test_contrast_blends_with_the_mean_grey(img):
    grey = (img @ LUMA).mean()
    expect(distort(img, (0, -1, 0, 0), contrast=0.3), 0.7 * img + 0.3 * grey)


def test_saturation_blends_with_the_own_grey(img):
    grey = (img @ LUMA)[..., None]
    expect(distort(img, (0, 0, 1, 0), saturation=0.3), 1.3 * img - 0.3 * grey)
    assert np.ptp(distort(img, (0, 0, -1, 0), saturation=1.0), axis=2).max() <= 1


def test_all_in_turn(img):
    step = img * 1.1
    step = 0.8 * step + 0.2 * (step @ LUMA).mean()
    step = 1.2 * step - 0.2 * (step @ LUMA)[..., None]
    expect(distort(img, (0.5, -1, 1, 0), brightness=0.2, contrast=0.2, saturation=0.2), step)


def test_hue_turns_colours_and_keeps_luma(img):
    turned = distort(img, (0, 0, 0, 1), hue=0.05)
    np.testing.assert_allclose(turned @ LUMA, img @ LUMA, atol=0.8)
    grey = np.full((4, 4, 3), 120, np.uint8)
    expect(distort(grey, (0, 0, 0, 1), hue=0.3), grey)
    # A turn there and back is nothing.
    back = distort(turned, (0, 0, 0, -1), hue=0.05)
    np.testing.assert_allclose(back.astype(int), img, atol=2)
    # A third of the circle takes red to another primary.
    red = np.full((2, 2, 3), (150, 90, 90), np.uint8)
    assert distort(red, (0, 0, 0, 1), hue=1 / 3)[0, 0].argmax() != 0


def test_nothing_is_changed_without_a_range(img):
    found = ColorJitter(0, 0, 0, 0)(dict(imgs=[img], rng=np.random.default_rng(0)))
    np.testing.assert_array_equal(found['imgs'][0], img)


def test_channels_are_rgb(img):
    # Full desaturation weighs the channels: the first is red.
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 200
    assert distort(red, (0, 0, -1, 0), saturation=1.0)[0, 0].tolist() == [60, 60, 60]


def test_views_are_drawn_one_by_one_from_the_generator(img):
    def run(seed):
        results = dict(imgs=[img, img], rng=np.random.default_rng(seed))
        return ColorJitter()(results)['imgs']

    first, again, other = run(1), run(1), run(2)
    assert (first[0] != first[1]).any()
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize('limits', [dict(hue=0.6), dict(contrast=-0.1), dict(brightness=2)])
def test_refuses_ranges_out_of_range(limits):
    with pytest.raises(ValueError, match=f'expected {list(limits)[0]} in'):
        ColorJitter(**limits)


def test_noise_has_its_deviation_and_leaves_the_intensity(results):
    results['points'] = np.repeat(results['points'], 50, axis=0)
    before = results['points'].copy()
    after = PointNoise(0.2)(results)['points']
    moved = after[:, :3] - before[:, :3]
    assert moved.std(0) == pytest.approx([0.2] * 3, rel=0.05)
    assert np.abs(moved.mean(0)).max() < 0.01 and after.dtype == np.float32
    np.testing.assert_array_equal(after[:, 3], before[:, 3])


def test_squares_are_black_and_of_their_size(results):
    results['imgs'] = [np.full((96, 160, 3), 200, np.uint8) for _ in range(2)]
    whole = results['imgs'][0]
    covered = ImageOcclusion(16, count=1)(results)['imgs']
    for img in covered:
        rows, columns = np.nonzero((img == 0).all(2))
        assert len(rows) == 256 and np.ptp(rows) == np.ptp(columns) == 15
    assert not np.array_equal(*covered) and (whole == 200).all()


def test_nothing_by_default_and_the_same_every_time(results):
    before = copy.deepcopy(results)
    after = ImageOcclusion()(PointNoise()(results))
    np.testing.assert_array_equal(after['points'], before['points'])
    np.testing.assert_array_equal(after['imgs'][0], before['imgs'][0])
    runs = []
    for _ in range(2):
        again = copy.deepcopy(before)
        again['rng'] = np.random.default_rng(3)
        runs.append(ImageOcclusion(32, 3)(PointNoise(0.1)(again)))
    np.testing.assert_array_equal(runs[0]['points'], runs[1]['points'])
    np.testing.assert_array_equal(runs[0]['imgs'][1], runs[1]['imgs'][1])


def test_a_square_larger_than_the_image_covers_it(results):
    assert not ImageOcclusion(500)(results)['imgs'][0].any()


def test_wrong_settings_are_told():
    for make in (lambda: PointNoise(-1), lambda: ImageOcclusion(-1), lambda: ImageOcclusion(4, 0)):
        with pytest.raises(ValueError, match='expected'):
            make()
