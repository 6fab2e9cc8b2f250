"""A rendered frame and its labels."""
import numpy as np
import pytest

from nclr_plugin.demo.frame import Split, beam_elevations, box_corners, render_frame, visibility


@pytest.mark.parametrize('mounting', ['frame', 'upside_down'])
def test_boxes_hold_the_points_of_their_object(mounting, request):
    frame, counted = request.getfixturevalue(mounting), 0
    for k, thing in enumerate(frame.objects):
        rows = frame.scan.instance == thing.instance
        assert rows.sum() == frame.num_points[k]
        if not rows.any():
            continue
        counted += 1
        x, y, z, length, width, height, yaw = frame.boxes[k]
        offset = frame.scan.points[rows, :3] - [x, y, z]
        along = np.cos(yaw) * offset[:, 0] + np.sin(yaw) * offset[:, 1]
        across = -np.sin(yaw) * offset[:, 0] + np.cos(yaw) * offset[:, 1]
        excess = np.abs([along, across, offset[:, 2]]).T - np.array([length, width, height]) / 2
        assert excess.max() < 0.12  # range noise
        assert set(frame.scan.semantic[rows]) == {thing.label}
    assert counted > 10


def test_objects_have_points_only_in_their_boxes(frame):
    assert frame.scan.instance.max() <= len(frame.objects)
    things = np.isin(frame.scan.semantic, [thing.label for thing in frame.objects])
    np.testing.assert_array_equal(things, frame.scan.instance > 0)


def test_splits_and_towns_differ(mounts, frame):
    for split, town in ((Split.VAL, 0), (Split.TRAIN, 1)):
        other = render_frame(*mounts, seed=3, split=split, town=town, index=1, heading='road')
        assert other.scan.points.shape != frame.scan.points.shape


@pytest.mark.parametrize('beams', [32, 64])
def test_beams_descend(beams):
    elevations = beam_elevations(beams)
    assert elevations.shape == (beams, )
    assert (np.diff(elevations) < 0).all()


def test_unknown_beams():
    with pytest.raises(ValueError, match='found 16'):
        beam_elevations(16)


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
