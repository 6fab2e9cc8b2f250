import copy

import numpy as np
import pytest

from nclr_plugin.datasets import ImageOcclusion, PointNoise


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
