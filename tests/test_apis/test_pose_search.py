"""The pose near a given one that an image speaks for."""
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nclr_plugin.apis.pose_search import STEP, search_pose
from nclr_plugin.apis.results import pose_difference
from nclr_plugin.evaluation.photometric_consistency import (BatchedReflectance,
                                                            PhotometricConsistency)


@pytest.fixture
def consistency(scene):
    return PhotometricConsistency(scene.image, scene.points, scene.cam2img)


@pytest.mark.parametrize('seed', range(3))
def test_the_true_pose_is_found_from_near_by(scene, consistency, seed):
    rng = np.random.default_rng(seed)
    start = np.eye(4)
    start[:3, :3] = Rotation.from_rotvec(rng.normal(0, 0.8, 3), degrees=True).as_matrix()
    start[:3, 3] = rng.normal(0, 0.3, 3)
    start = start @ scene.lidar2cam
    found = search_pose(consistency, start)
    turn, shift = pose_difference(found, scene.lidar2cam)
    assert turn < 0.5 and shift < 0.25
    assert turn < pose_difference(start, scene.lidar2cam)[0]
    assert consistency.score(found) > consistency.score(start) + 0.2
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-9)
    assert (found == search_pose(consistency, start)).all()


def test_a_true_pose_stays(scene, consistency):
    turn, shift = pose_difference(search_pose(consistency, scene.lidar2cam), scene.lidar2cam)
    assert turn < 0.3 and shift < 0.15


def test_where_nothing_is_in_view_nothing_is_found(scene, consistency):
    behind = np.diag([1., -1., -1., 1.]) @ scene.lidar2cam
    behind[2, 3] = -100
    assert consistency.score(search_pose(consistency, behind)) == 0


def test_poses_are_drawn_about_the_axes_of_the_standing_scan(scene, consistency, monkeypatch):
    """The same poses of a scan that lies on its side, which is told."""
    lying = np.eye(4)
    lying[:3, :3] = Rotation.from_euler('x', 80, degrees=True).as_matrix()
    points = scene.points.copy()
    points[:, :3] = points[:, :3] @ lying[:3, :3].T
    drawn = []
    correlation = BatchedReflectance.correlation

    def kept(pairs, poses):
        drawn.append(poses.numpy())
        return correlation(pairs, poses)

    monkeypatch.setattr(BatchedReflectance, 'correlation', kept)
    search_pose(consistency, scene.lidar2cam)
    first = drawn[1].copy()
    drawn.clear()
    search_pose(PhotometricConsistency(scene.image, points, scene.cam2img),
                scene.lidar2cam @ lying.T, upright=lying[:3, :3].T)
    np.testing.assert_allclose(drawn[1] @ lying, first, atol=1e-9)
    turn = Rotation.from_matrix(scene.lidar2cam[:3, :3].T @ first[:, :3, :3]).as_rotvec()
    np.testing.assert_allclose(turn.std(0), STEP[:3], rtol=0.15)
