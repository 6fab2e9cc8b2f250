"""Refinement and check of poses over frames of a world that is known."""
import numpy as np
import pytest
from rectangles import CAM2IMG, HEIGHT, WIDTH, make_frame, off_by, true_pose
from scipy.spatial.transform import Rotation

from nclr_plugin.apis import (CalibrationInputError, Intrinsics, Pair, check, refine)

pytestmark = pytest.mark.slow
K = Intrinsics(CAM2IMG, image_size=(WIDTH, HEIGHT))


def errors(pose, truth):
    return (np.degrees(Rotation.from_matrix(pose[:3, :3] @ truth[:3, :3].T).magnitude()),
            np.linalg.norm((pose - truth)[:3, 3]))


def make_pairs(number, lidar2cam=None, later=0):
    pose = true_pose() if lidar2cam is None else lidar2cam
    frames = [make_frame(seed, pose) for seed in range(number + later)]
    return [Pair(frames[idx][0], frames[idx + later][1], K, str(idx)) for idx in range(number)]


@pytest.fixture(scope='module')
def guess():
    return off_by(true_pose(), [2., -1.5, 1.], [0.15, -0.1, 0.1])


@pytest.fixture(scope='module')
def refined(guess):
    return refine(make_pairs(6), guess)


def test_a_rough_guess_is_refined(refined, guess):
    assert refined.kept == 'refined' and refined.reliable, refined.reason
    rotation, translation = errors(refined.lidar2cam, true_pose())
    assert rotation < 0.3 and translation < 0.1
    assert 'frames that were not used prefer' in refined.reason
    assert refined.p_value < 0.01 and refined.evidence > 5 and not refined.same
    assert refined.scores_after.sum() > refined.scores_before.sum()
    deviation = np.sqrt(np.diag(refined.covariance))
    assert np.degrees(deviation[:3]).max() < 0.5 and deviation[3:].max() < 0.2
    np.testing.assert_allclose(refined.covariance, refined.covariance.T, atol=1e-12)


def test_profiles_have_their_maximum_at_the_pose(refined):
    profiles = refined.profiles_after
    middle = len(profiles.offsets_deg) // 2
    assert profiles.scores.shape == (6, len(profiles.offsets_deg))
    assert (profiles.scores[:, middle] == 0).all()
    assert (np.abs(profiles.scores.argmax(1) - middle) <= 1).all()
    # About the guess, the maximum is on the side of the true pose: less rotation about x.
    assert profiles.offsets_deg[refined.profiles_before.scores[0].argmax()] < 0


def test_a_right_guess_is_kept():
    result = refine(make_pairs(6), true_pose())
    assert result.kept == 'guess' and result.reliable and result.same, result.reason
    np.testing.assert_array_equal(result.lidar2cam, true_pose())
    assert 'confirmed' in result.reason


def test_pairs_of_different_places_are_not_reliable(guess):
    pairs = make_pairs(6)
    other = [pair._replace(image=make_frame(50 + idx, true_pose())[0])
             for idx, pair in enumerate(pairs)]
    result = refine(other, guess)
    assert result.kept == 'guess' and not result.reliable
    np.testing.assert_array_equal(result.lidar2cam, guess)
    assert 'do not agree' in result.reason or 'limit of the range' in result.reason


def test_scans_of_later_frames_are_named():
    result = refine(make_pairs(6, later=2), true_pose())
    assert not result.reliable and result.kept == 'guess'
    assert 'scans 2 frames earlier fit the images better' in result.reason
    assert 'out of sync' in result.reason


def test_a_pose_beyond_the_range_is_not_reliable(guess):
    result = refine(make_pairs(6), guess, range_deg=1., range_m=0.2)
    assert not result.reliable and result.kept == 'guess'


def test_a_calibration_is_checked(guess):
    good = check(make_pairs(6), true_pose())
    assert good.verdict == 'good' and good.exit_status == 0 and good.p_value > 0.01
    off = check(make_pairs(6), off_by(true_pose(), [0., 1.5, 0.], [0., 0., 0.]))
    assert off.verdict == 'off' and off.exit_status == 1 and off.p_value < 0.01
    assert 'OFF' in off.statement


def test_bad_input_is_refused(guess):
    pairs = make_pairs(1)
    with pytest.raises(CalibrationInputError, match='found none'):
        refine([], guess)
    with pytest.raises(CalibrationInputError, match='initial lidar2cam'):
        refine(pairs, np.ones((4, 4)))
    with pytest.raises(CalibrationInputError, match='range_deg'):
        refine(pairs, guess, range_deg=0)
    with pytest.raises(CalibrationInputError, match='range_m'):
        refine(pairs, guess, range_m=float('nan'))
    level = np.abs(pairs[0].points[:, 2]) < 0.02 * np.abs(pairs[0].points[:, 0])
    ring = pairs[0]._replace(points=pairs[0].points[level])
    with pytest.raises(CalibrationInputError, match='0: .*many rings'):
        refine([ring], guess)
    away = off_by(guess, [0, 180, 0], [0, 0, 0])
    with pytest.raises(CalibrationInputError, match='points of the scan in view'):
        refine(pairs, away)
