"""Pairs of neighbouring points and which of them a camera sees, against the world they are of."""
import numpy as np
import pytest
from rectangles import CAM2IMG, HEIGHT, WIDTH, make_frame, off_by, true_pose

from nclr_plugin.evaluation.scan_edges import EdgeFinder

pytest.importorskip('cv2')


@pytest.fixture
def finder():
    pose = true_pose()
    points = make_frame(0, pose)[1].astype(float)
    return EdgeFinder(points, pose, CAM2IMG, (WIDTH, HEIGHT), 20.)


def test_pairs_are_neighbours_to_the_right_and_below(finder):
    edges = finder.edges
    first, second = finder.pairs
    rays = finder.points[:, :3] / np.linalg.norm(finder.points[:, :3], axis=1)[:, None]
    angle = np.degrees(np.arccos((rays[first] * rays[second]).sum(1).clip(-1, 1)))
    # Steps of the sensor: 0.25 deg in a ring and 0.7 deg between rings.
    assert np.median(angle[~edges.vertical]) == pytest.approx(0.25, abs=0.02)
    assert np.median(angle[edges.vertical]) == pytest.approx(0.7, abs=0.02)
    in_camera = finder.points[:, :3] @ true_pose()[:3, :3].T
    step = in_camera[second] / in_camera[second][:, 2:] - in_camera[first] / in_camera[first][:, 2:]
    assert (step[~edges.vertical, 0] > 0).all() and (step[edges.vertical, 1] > 0).all()


def test_jumps_stand_for_the_rim_of_the_nearer_surface(finder):
    edges = finder.edges
    ranges = np.linalg.norm(finder.points[:, :3], axis=1)[finder.pairs]
    far = ranges.max(0) > 1.1 * ranges.min(0)
    assert not (edges.jump & ~far).any() and edges.jump.sum() > 0.8 * far.sum()
    assert 0.01 < edges.jump.mean() < 0.3
    np.testing.assert_allclose(np.linalg.norm(edges.points, axis=1)[edges.jump],
                               ranges.min(0)[edges.jump])
    assert (edges.difference[edges.jump] == 0).all() and 0.99 < edges.difference.max() <= 1
    np.testing.assert_allclose(np.linalg.norm(edges.direction, axis=1), 1)


def test_a_street_far_away_has_no_jumps_but_an_object_on_it_has():
    azimuth, elevation = np.meshgrid(np.radians(np.arange(-20, 20, 0.2)),
                                     np.radians(np.arange(-10, -1, 0.4)))
    ranges = 1.7 / np.sin(-elevation)
    for objects in (False, True):
        if objects:
            box = (np.abs(azimuth) < np.radians(5)) & (elevation > np.radians(-5))
            ranges = np.where(box, 8., ranges)
        points = np.stack((ranges * np.cos(elevation) * np.cos(azimuth),
                           ranges * np.cos(elevation) * np.sin(azimuth),
                           ranges * np.sin(elevation), 0 * ranges), -1).reshape(-1, 4)
        finder = EdgeFinder(points, true_pose(), CAM2IMG, (WIDTH, HEIGHT), 500.)
        near, far = np.sort(np.linalg.norm(points, axis=1)[finder.pairs], 0)
        assert (far > 1.1 * near).sum() > 1000  # rings that are far apart on the street
        jump = finder.edges.jump
        np.testing.assert_array_equal(finder.edges.plane, (far > 1.1 * near) & ~jump)
        if objects:
            assert 40 < jump.sum() < 80
            np.testing.assert_allclose(near[jump], 8)
        else:
            assert not jump.any()


def test_points_between_nearer_ones_are_hidden(finder):
    assert len(finder.visible(true_pose()).points) > 0.9 * len(finder.edges.points)
    # A camera two metres beside the LiDAR does not see what the LiDAR sees past an object.
    pose = off_by(true_pose(), [0, 0, 0], [2., 0, 0])
    in_camera = finder.points[:, :3] @ pose[:3, :3].T + pose[:3, 3]
    pixels = (in_camera @ CAM2IMG.T)[:, :2] / in_camera[:, 2:]
    inside = finder._inside(pixels, in_camera[:, 2])
    hidden = finder._hidden(pixels[inside], in_camera[inside, 2])
    depth, pixels = in_camera[inside, 2], pixels[inside]
    assert 0.01 < hidden.mean() < 0.5
    for idx in np.flatnonzero(hidden)[::20]:
        near = np.abs(pixels - pixels[idx]).max(1) < 12
        assert depth[near].min() < depth[idx] / 1.1


def test_without_intensities_there_are_no_differences():
    pose = true_pose()
    points = make_frame(0, pose)[1].astype(float)
    points[:, 3] = 0.5
    finder = EdgeFinder(points, pose, CAM2IMG, (WIDTH, HEIGHT), 20.)
    assert not finder.has_intensity and (finder.edges.difference == 0).all()


def test_too_few_points_give_no_pairs():
    finder = EdgeFinder(np.zeros((0, 4)), true_pose(), CAM2IMG, (WIDTH, HEIGHT), 20.)
    assert not len(finder.visible(true_pose()).points)
