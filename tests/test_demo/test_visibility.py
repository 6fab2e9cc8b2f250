"""Truncation and occlusion."""
import numpy as np
import pytest

from nclr_plugin.demo.visibility import box_corners, visibility


@pytest.fixture(scope='module')
def seen(frame):
    return visibility(frame, 'front')


def test_boxes_hold_the_pixels_of_their_object(frame, seen):
    shown = frame.photographs['front'].instance
    checked = 0
    for k in np.flatnonzero(seen.pixels):
        v, u = np.nonzero(shown == k + 1)
        assert len(v) == seen.pixels[k]
        left, top, right, bottom = seen.box[k]
        assert left - 1 <= u.min() and u.max() <= right + 1
        assert top - 1 <= v.min() and v.max() <= bottom + 1
        checked += 1
    assert checked > 5


def test_shares_are_shares(frame, seen):
    shown = seen.pixels > 0
    assert ((seen.share >= 0) & (seen.share <= 1)).all()
    assert (seen.share[shown] > 0).all() and (seen.share[~shown] == 0).all()
    assert (seen.share > 0.95).any() and (seen.share[shown] < 0.7).any()
    assert ((seen.truncation >= 0) & (seen.truncation <= 1)).all()


def test_objects_behind_are_cut_off(frame, seen):
    behind = frame.boxes[:, 0] < -5
    assert behind.any()
    assert (seen.truncation[behind] == 1).all() and (seen.pixels[behind] == 0).all()
    assert np.isnan(seen.full_box[behind]).all()


def test_box_corners_turn_counter_clockwise():
    corners = box_corners(np.array([[10.0, 5.0, 1.0, 4.0, 2.0, 1.5, np.pi / 2]]))[0]
    np.testing.assert_allclose(corners.min(0), [9, 3, 0.25])
    np.testing.assert_allclose(corners.max(0), [11, 7, 1.75])
