import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nclr_plugin.evaluation import CalibrationMetric
from nclr_plugin.structures import CalibrationDataSample


def pose(rng, degrees, metres, like=None):
    """A pose at some distance of another."""
    T = np.eye(4) if like is None else like.copy()
    turn = Rotation.from_rotvec(rng.normal(size=3) * np.radians(degrees)).as_matrix()
    T[:3, :3] = T[:3, :3] @ turn
    T[:3, 3] += rng.normal(size=3) * metres
    return T


def samples(rng, frames, failed=0.):
    """Frames of one or several views."""
    out = []
    for _ in range(frames):
        views = int(rng.integers(1, 4))
        placement = pose(rng, 10, 2)
        target = [pose(rng, 60, 5) for _ in range(views)]
        sample = CalibrationDataSample(metainfo=dict(frame_id='a', placement=placement))
        sample.lidar2cam = torch.tensor(np.stack(target))
        sample.pred_lidar2cam = torch.tensor(np.stack([pose(rng, 3, 1, T) for T in target]))
        sample.pred_valid = torch.tensor(rng.random(views) >= failed)
        out.append(sample)
    return out


def brute_force(frames, thresholds):
    """The same figures view by view, by scipy."""
    out = {}
    for prefix in ('', 'identity_'):
        angle, euler, shift, good = [], [], [], []
        for sample in frames:
            for target, predicted, valid in zip(sample.lidar2cam.numpy(),
                                                sample.pred_lidar2cam.numpy(), sample.pred_valid):
                found = bool(valid) and np.isfinite(predicted).all()
                if prefix or not found:
                    predicted = target @ sample.placement
                turn = Rotation.from_matrix(predicted[:3, :3].T @ target[:3, :3])
                angle.append(np.degrees(turn.magnitude()))
                euler.append(np.abs(turn.as_euler('xzy', degrees=True)).sum())
                shift.append(np.linalg.norm(predicted[:3, 3] - target[:3, 3]))
                good.append(prefix != '' or found)
        for name, values in (('rre_geodesic_deg', angle), ('rre_euler_deg', euler),
                             ('rte_m', shift)):
            out.update({f'{prefix}{name}_mean': np.mean(values),
                        f'{prefix}{name}_std': np.std(values),
                        f'{prefix}{name}_median': np.median(values)})
        for a, b in thresholds:
            out[f'{prefix}recall_{a}deg_{b}m'] = np.mean(
                [x < a and y < b and z for x, y, z in zip(angle, shift, good)])
        if not prefix:
            out['failure_rate'] = 1 - np.mean(good)
            out['num_views'] = len(good)
    return {f'calibration/{name}': value for name, value in out.items()}


def evaluate(frames, **kwargs):
    metric = CalibrationMetric(**kwargs)
    for sample in frames:
        metric.process(None, [sample.to_dict()])
    return metric.evaluate(len(frames))


@pytest.mark.parametrize('failed', [0., 0.3, 1.])
def test_agrees_with_brute_force(failed):
    frames = samples(np.random.default_rng(0), 40, failed)
    thresholds = ((10, 5), (5, 2))
    expected = brute_force(frames, thresholds)
    found = evaluate(frames, thresholds=thresholds)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


def test_the_identity_placement_is_the_pose_before_the_placement():
    frames = samples(np.random.default_rng(1), 1)
    frames[0].lidar2cam = frames[0].lidar2cam[:1]
    frames[0].pred_lidar2cam = frames[0].lidar2cam @ torch.tensor(frames[0].placement)
    frames[0].pred_valid = torch.tensor([True])
    found = evaluate(frames)
    for name in ('rre_geodesic_deg', 'rre_euler_deg', 'rte_m'):
        assert found[f'calibration/{name}_mean'] == found[f'calibration/identity_{name}_mean']


def test_a_failure_is_no_success_even_where_its_stand_in_is_right():
    sample = samples(np.random.default_rng(2), 1)[0]
    sample.set_field(np.eye(4), 'placement', field_type='metainfo')
    sample.pred_valid[:] = False
    found = evaluate([sample])
    assert found['calibration/failure_rate'] == 1
    assert found['calibration/recall_10deg_5m'] == 0
    assert found['calibration/identity_recall_10deg_5m'] == 1


def test_pose_with_nan_is_a_failure():
    sample = samples(np.random.default_rng(3), 1)[0]
    sample.pred_valid[:] = True
    sample.pred_lidar2cam[0, 1, 2] = np.nan
    found = evaluate([sample])
    assert found['calibration/failure_rate'] == pytest.approx(1 / len(sample.pred_valid))
    assert all(np.isfinite(value) for value in found.values())


def test_frames_that_pad_the_last_distributed_batch_are_dropped():
    frames = samples(np.random.default_rng(4), 5)
    metric = CalibrationMetric()
    for sample in frames:
        metric.process(None, [sample.to_dict()])
    assert len(metric.results) == 5  # a record a frame, whatever its number of views
    assert all(isinstance(e, float) for r in metric.results for e in r['predicted']['rte_m'])


def test_table_shows_both():
    metric = CalibrationMetric(thresholds=((5, 2), ))
    for sample in samples(np.random.default_rng(5), 10):
        metric.process(None, [sample.to_dict()])
    results = metric.results
    figures = metric.compute_metrics(results)
    table = metric._table(figures)
    line = next(line for line in table.splitlines() if line.startswith('recall < 5 deg, < 2 m'))
    assert line.split()[-2:] == [f"{figures['recall_5deg_2m']:.3f}",
                                 f"{figures['identity_recall_5deg_2m']:.3f}"]


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(ValueError, match='no view to evaluate'):
        CalibrationMetric().compute_metrics([])
