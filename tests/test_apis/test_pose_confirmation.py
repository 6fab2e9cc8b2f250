"""Poses of one pair, confirmed, refined, or refused."""
import numpy as np
import pytest
from rectangles import CAM2IMG, make_frame, off_by, true_pose
from scipy.ndimage import gaussian_filter

from nclr_plugin.apis import Intrinsics, Pair
from nclr_plugin.apis import pose_confirmation as module
from nclr_plugin.apis.pose_confirmation import confirm_pose
from nclr_plugin.apis.results import pose_difference


@pytest.fixture(scope='module')
def pair():
    image, points = make_frame(1, true_pose())
    return Pair(image, points, Intrinsics(CAM2IMG, image_size=image.shape[1::-1]))


def test_a_right_pose_is_confirmed(pair):
    found = confirm_pose(pair, true_pose(), search=False)
    assert found.reliable and not found.refined
    assert (found.lidar2cam == true_pose()).all()
    assert found.photometric_consistency > 0.5 and found.edge_lead > 6
    for limits in (dict(min_consistency=0.95), dict(min_edge_lead=20.)):
        assert not confirm_pose(pair, true_pose(), search=False, **limits).reliable


def test_a_right_pose_is_kept_if_the_search_leads_elsewhere(pair, monkeypatch):
    monkeypatch.setattr(module, 'search_jointly', lambda *_: np.full(6, 0.02))
    found = confirm_pose(pair, true_pose())
    assert found.reliable and not found.refined
    assert (found.lidar2cam == true_pose()).all()


def test_poses_that_are_as_good_speak_against_each_other(pair, monkeypatch):
    """A second search that ends elsewhere with nearly the score of the first."""
    apart = np.array([0., 0., np.radians(2.), 0., 0., 0.])
    found = iter([np.zeros(6), apart, np.zeros(6)] * 2)
    monkeypatch.setattr(module, 'search_jointly', lambda *_: next(found))
    monkeypatch.setattr(module, 'RIVAL_SHARE', 0.)
    left = confirm_pose(pair, true_pose())
    assert not left.reliable and not left.refined
    monkeypatch.setattr(module, 'RIVAL_SHARE', 0.9)  # the true pose is better by far
    again = confirm_pose(pair, true_pose())
    assert again.reliable and again.refined and (again.lidar2cam == true_pose()).all()


@pytest.mark.parametrize('degrees, metres', [([0.8, -1., 0.3], [0.3, 0.1, -0.4]),
                                             ([-1., 2., 0.5], [-0.5, 0.1, 0.5])])
def test_a_pose_nearby_is_refined(pair, degrees, metres):
    start = off_by(true_pose(), degrees, metres)
    found = confirm_pose(pair, start)
    assert found.reliable and found.refined
    rotation, translation = pose_difference(found.lidar2cam, true_pose())
    assert rotation < 0.3 and translation < 0.1
    again = confirm_pose(pair, start)
    assert (again.lidar2cam == found.lidar2cam).all()
    left = confirm_pose(pair, start, search=False)
    assert not left.reliable and (left.lidar2cam == start).all()


def test_a_pose_out_of_reach_is_refused_as_given(pair):
    start = off_by(true_pose(), [1., 9., -1.], [2., 0., 1.])
    found = confirm_pose(pair, start)
    assert not found.reliable and not found.refined and (found.lidar2cam == start).all()


def test_an_image_without_relation_is_refused(pair):
    noise = np.random.default_rng(0).normal(size=pair.image.shape)
    smooth = gaussian_filter(noise, (5, 5, 0))
    for image in (128 + 40 * noise, 128 + 60 * smooth / smooth.std(), np.full_like(noise, 128)):
        image = image.clip(0, 255).astype(np.uint8)
        assert not confirm_pose(pair._replace(image=image), true_pose()).reliable


def test_a_guess_and_the_distance_bound_it(pair):
    turned = off_by(true_pose(), [0., 40., 0.], [0., 0., 0.])
    assert not confirm_pose(pair, true_pose(), turned).reliable
    assert confirm_pose(pair, true_pose(), off_by(true_pose(), [0., 20., 0.], [0, 0, 0])).reliable
    away = pair.points.copy()
    away[:, 0] += 20
    pose = true_pose()
    pose[:3, 3] -= 20 * pose[:3, 0]
    found = confirm_pose(pair._replace(points=away), pose, search=False)
    assert found.edge_lead > 6 and found.photometric_consistency > 0.5 and not found.reliable
