"""A rendered frame and its labels."""
import numpy as np
import pytest

from nclr_plugin.demo.frame import Split, beam_elevations, render_frame


def test_boxes_hold_the_points_of_their_object(frame):
    counted = 0
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
