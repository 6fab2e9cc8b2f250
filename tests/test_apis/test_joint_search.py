"""Search for the highest score over all frames."""
from types import SimpleNamespace

import numpy as np
import pytest

from nclr_plugin.apis.joint_search import search_jointly

SCALE = np.repeat((np.radians(4.), 1.2), 3)


def make_score(peaks):
    """Return scores that are sums of peaks: height, centre (6,) and width in shares of SCALE."""
    def about(offset, sigma, size, used=None):
        def score(offsets):
            return sum(height * np.exp(-np.square((offsets / SCALE - centre) / width).sum(1))
                       for height, centre, width in peaks)[:, None]
        return score

    return SimpleNamespace(scale=SCALE, frames=[None] * 20, focal=200., about=about)


@pytest.mark.parametrize('axis', range(6))
def test_a_higher_peak_along_one_axis_is_found(axis):
    broad, narrow = np.zeros(6), np.zeros(6)
    broad[axis], narrow[axis] = 0.8, -0.3
    found = search_jointly(make_score([(80., broad, 0.6), (100., narrow, 0.08)]), np.zeros(6))
    np.testing.assert_allclose(found / SCALE, narrow, atol=0.03)


def test_a_lower_peak_along_one_axis_is_left_alone():
    centre, other = np.full(6, 0.2), np.full(6, 0.2)
    other[5] = -0.5
    found = search_jointly(make_score([(100., centre, 0.5), (60., other, 0.1)]), np.zeros(6))
    np.testing.assert_allclose(found / SCALE, centre, atol=0.03)


def test_the_range_is_not_left():
    found = search_jointly(make_score([(100., np.full(6, 1.5), 3.)]), np.zeros(6))
    assert (np.abs(found) <= SCALE).all() and (found > 0.9 * SCALE).all()
