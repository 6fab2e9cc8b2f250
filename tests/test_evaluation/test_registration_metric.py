"""Protocols and matching quality against direct computations with numpy and scipy."""
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from scipy.spatial.transform import Rotation

from nclr_plugin.evaluation import PROTOCOLS, RegistrationMetric
from nclr_plugin.evaluation.registration_metric import (RRE_KINDS, get_protocol,
                                                        is_translation_free, protocol_figures)
from nclr_plugin.structures import CalibrationDataSample

CAM2IMG = np.array([[100., 0, 64], [0, 100, 32], [0, 0, 1]])
RRE = np.array([1., 8., 20., 4.])
RTE = np.array([0.5, 1., 1., 3.])
SOLVED = np.array([True, True, True, False])
AXES = np.array([[0, -1, 0, 0.1], [0, 0, -1, -0.2], [1, 0, 0, 0.3], [0, 0, 0, 1.]])


def transform(rotvec, t):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_rotvec(rotvec).as_matrix(), t
    return T


def make_frames(count=12, seed=0, shift=5., camera=False):
    """Single views; the fifth has no pose, the last one no match."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(count):
        rigid_transform = transform([0, 0, rng.uniform(-3, 3)], [*rng.uniform(-shift, shift, 2), 0])
        if camera:
            turn = transform([0, rng.uniform(-3, 3), 0], [0, 0, 0])
            rigid_transform = np.linalg.inv(AXES) @ turn @ AXES
        target = AXES @ np.linalg.inv(rigid_transform)
        wrong = transform(rng.normal(size=3) * 0.07, rng.normal(size=3) * 2)
        points = rng.uniform([5, -3, -1], [30, 3, 1], (40, 3))
        points[:3] = [[-5, 0, 0], [-6, 1, 0], [-7, 0, 0]]  # behind the camera
        true = points @ AXES[:3, :3].T + AXES[:3, 3]
        pixels = (true / true[:, 2:]) @ CAM2IMG.T
        pixels = pixels[:, :2] + rng.normal(size=(40, 2)) * rng.uniform(1, 6)
        placed = (np.c_[points, np.ones(40)] @ rigid_transform.T)[:, :3]
        keep = slice(0, 0) if number == count - 1 else slice(None)
        sample = CalibrationDataSample(metainfo=dict(
            frame_id=f'{number}', rigid_transform=rigid_transform, mismatched_image=False))
        sample.lidar2cam, sample.cam2img = (torch.from_numpy(x)[None] for x in (target, CAM2IMG))
        sample.pred_lidar2cam = torch.from_numpy(wrong @ target)[None]
        sample.pred_valid = torch.tensor([number != 4])
        sample.pred_matches = [BaseDataElement(
            points=torch.from_numpy(placed[keep]), pixels=torch.from_numpy(pixels[keep]))]
        sample.truth = (np.linalg.norm(pixels - (true / true[:, 2:] @ CAM2IMG.T)[:, :2], axis=1),
                        true[:, 2] > 0)
        frames.append(sample)
    return frames


def errors(frames, order='xzy'):
    """RRE and RTE of Eq. 18 and 19 by scipy; the identity baseline where there is no pose."""
    rre, rte = [], []
    for sample in frames:
        target, predicted = sample.lidar2cam[0].numpy(), sample.pred_lidar2cam[0].numpy()
        if not sample.pred_valid[0]:
            predicted = target @ sample.rigid_transform
        delta = Rotation.from_matrix(predicted[:3, :3].T @ target[:3, :3])
        rre.append(np.degrees(delta.magnitude()) if order is None else
                   np.abs(delta.as_euler(order, degrees=True)).sum())
        rte.append(np.linalg.norm((np.linalg.inv(predicted) @ target)[:3, 3]))
    return np.array(rre), np.array(rte)


@pytest.fixture
def figures(evaluate):
    frames = make_frames()
    metric = RegistrationMetric(
        ['all_frames', 'deepi2p_5_2', 'corri2p_10_5', 'cofii2p'], thresholds=[(20, 6)],
        inlier_px=(5., 2.), rmse_px=4., confidence=0.4)
    found = evaluate(metric, frames)
    return frames, {key.partition('/')[2]: value for key, value in found.items()}


def test_means_of_each_protocol_are_over_its_views(figures):
    frames, found = figures
    solved = np.array([bool(sample.pred_valid[0]) for sample in frames])
    geodesic, rte = errors(frames, None)
    euler, _ = errors(frames)
    near = solved & (euler < 10) & (rte < 5)
    for name, rre, chosen in (('all_frames', geodesic, solved | True),
                              ('deepi2p_5_2', euler, solved | True),
                              ('corri2p_10_5', euler, near), ('cofii2p', euler, solved)):
        assert found[f'{name}_num_averaged'] == chosen.sum()
        assert found[f'{name}_rre_deg_mean'] == pytest.approx(rre[chosen].mean(), rel=1e-6)
        assert found[f'{name}_rre_deg_std'] == pytest.approx(rre[chosen].std(), rel=1e-6)
        assert found[f'{name}_rte_m_mean'] == pytest.approx(rte[chosen].mean(), rel=1e-6)
    assert 0 < near.sum() < solved.sum() < len(frames)


def test_recalls_count_every_view_and_failures_miss(figures):
    frames, found = figures
    solved = np.array([bool(sample.pred_valid[0]) for sample in frames])
    euler, rte = errors(frames)
    assert found['corri2p_10_5_recall_10deg_5m'] == (solved & (euler < 10) & (rte < 5)).mean()
    assert found['cofii2p_recall_45deg_10m'] == (solved & (euler < 45) & (rte < 10)).mean()
    geodesic, _ = errors(frames, None)
    assert found['recall_20deg_6m'] == (solved & (geodesic < 20) & (rte < 6)).mean()
    assert found['failure_rate'] == pytest.approx(1 / 12) and found['num_views'] == 12


def test_matching_quality_is_that_of_the_formulas(figures):
    frames, found = figures
    views = [sample.truth for sample in frames[:-1]]  # the last view has no match
    share = np.array([((d < 5) & ahead).mean() for d, ahead in views])
    assert found['inlier_ratio_5px'] == pytest.approx(share.sum() / 12)
    assert found['inlier_ratio_2px'] == pytest.approx(
        sum(((d < 2) & ahead).mean() for d, ahead in views) / 12)
    assert found['share_reliable'] == pytest.approx((share > 0.4).sum() / 12)
    # Some matches lie behind the camera: there is no finite RMSE, and no view is recalled.
    assert np.isnan(found['rmse_px']) and found['matching_recall'] == 0


def test_rmse_of_points_in_front(evaluate):
    frames = make_frames()
    for sample in frames[:-1]:
        match = sample.pred_matches[0]
        sample.pred_matches = [BaseDataElement(points=match.points[3:], pixels=match.pixels[3:])]
    found = evaluate(RegistrationMetric(rmse_px=4.), frames)
    distances = [sample.truth[0][3:] for sample in frames[:-1]]
    rmse = np.array([np.sqrt((d**2).mean()) for d in distances])
    assert found['registration/rmse_px'] == pytest.approx(rmse.mean())
    assert found['registration/printed_rmse_px'] == pytest.approx(
        np.mean([np.sqrt(d.mean()) for d in distances]))
    assert found['registration/matching_recall'] == pytest.approx((rmse < 4).sum() / 12)
    assert 0 < found['registration/matching_recall'] < 1


def test_euler_order_changes_the_value():
    frames = make_frames()
    metric = RegistrationMetric()
    metric.process(None, [sample.to_dict() for sample in frames])
    for result, xzy, XYZ in zip(metric.results, errors(frames)[0], errors(frames, 'XYZ')[0]):
        assert result['euler_xzy'][0] == pytest.approx(xzy, rel=1e-6)
        assert result['euler_XYZ'][0] == pytest.approx(XYZ, rel=1e-6)
    assert np.abs(errors(frames)[0] - errors(frames, 'XYZ')[0]).max() > 0.01


def test_legacy_preset_refuses_translations(evaluate):
    with pytest.raises(ValueError, match=r'zero_translation is for random '
                       r'transforms that only rotate .* frame 0 shifts'):
        evaluate(RegistrationMetric(['zero_translation']), make_frames())
    for camera in (False, True):
        found = evaluate(
            RegistrationMetric(['zero_translation']), make_frames(shift=0., camera=camera))
        assert found['registration/zero_translation_num_averaged'] == 11


def test_mismatched_images_do_not_count(evaluate):
    frames = make_frames()
    for sample in frames[:3]:
        sample.set_metainfo(dict(mismatched_image=True))
    assert evaluate(RegistrationMetric(), frames)['registration/num_views'] == 9
    for sample in frames:
        sample.set_metainfo(dict(mismatched_image=True))
    with pytest.raises(ValueError, match='no view to evaluate among 12 frames'):
        evaluate(RegistrationMetric(), frames)


def test_without_matches_there_are_poses_all_the_same(evaluate):
    frames = make_frames()
    for sample in frames:
        del sample.pred_matches
    found = evaluate(RegistrationMetric(), frames)
    assert not any('inlier' in name or 'rmse' in name for name in found)
    assert 'registration/all_frames_rre_deg_mean' in found


def test_every_protocol_says_what_becomes_of_a_failure():
    for protocol in PROTOCOLS.values():
        assert protocol.failures and protocol.origin and protocol.thresholds
    assert 'LEGACY' in PROTOCOLS['zero_translation'].origin
    with pytest.raises(ValueError, match='"corri2p" is unknown: expected one of'):
        get_protocol('corri2p')


@pytest.mark.parametrize('name, averaged, recalls', [
    ('all_frames', [0, 1, 2, 3], dict(recall_10deg_5m=0.5, recall_5deg_2m=0.25,
                                      recall_2deg_1m=0.25)),
    ('corri2p_10_5', [0, 1], dict(recall_10deg_5m=0.5)),
    ('cofii2p', [0, 1, 2], dict(recall_45deg_10m=0.75, recall_10deg_5m=0.5)),
])
def test_figures_are_those_of_the_views_that_count(name, averaged, recalls):
    errors = dict.fromkeys(RRE_KINDS, RRE)
    assert protocol_figures(get_protocol(name), errors, RTE, SOLVED) == pytest.approx(dict(
        num_averaged=len(averaged), rre_deg_mean=RRE[averaged].mean(),
        rre_deg_std=RRE[averaged].std(), rte_m_mean=RTE[averaged].mean(),
        rte_m_std=RTE[averaged].std(), **recalls))


def test_each_protocol_reads_its_own_rotation_error():
    errors = dict(zip(RRE_KINDS, (RRE, RRE + 1, RRE + 2)))
    for protocol in PROTOCOLS.values():
        figures = protocol_figures(protocol, errors, RTE, SOLVED | True)
        if protocol.mean_over != 'recalled':
            assert figures['rre_deg_mean'] == errors[protocol.rotation].mean()


def test_no_view_left_has_no_mean():
    figures = protocol_figures(get_protocol('cofii2p'), dict.fromkeys(RRE_KINDS, RRE), RTE,
                               SOLVED & False)
    assert np.isnan(figures['rre_deg_mean']) and figures['num_averaged'] == 0


def test_a_turn_about_the_lidar_or_the_camera_is_free_of_translation():
    turn, lidar2cam = transform([0, 0.5, 0], [0, 0, 0]), transform([0, 0, 0], [0.3, -0.2, 0.1])
    elsewhere = transform([0, 0, 0], [9, 9, 9])
    assert is_translation_free(turn, elsewhere[None])
    about_camera = np.linalg.inv(lidar2cam) @ turn @ lidar2cam
    after = lidar2cam @ np.linalg.inv(about_camera)
    assert is_translation_free(about_camera, np.stack([elsewhere, after]))
    assert not is_translation_free(about_camera, elsewhere[None])
    turn[1, 3] = 0.1
    assert not is_translation_free(turn, lidar2cam[None])
