import csv

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nclr_plugin.evaluation import CalibrationMetric, auroc, recall_curve
from nclr_plugin.evaluation.calibration_metric import write_views
from nclr_plugin.structures import CalibrationDataSample


def pose(rng, degrees, metres, like=None):
    """A pose at some distance of another."""
    T = np.eye(4) if like is None else like.copy()
    turn = Rotation.from_rotvec(rng.normal(size=3) * np.radians(degrees)).as_matrix()
    T[:3, :3] = T[:3, :3] @ turn
    T[:3, 3] += rng.normal(size=3) * metres
    return T


def samples(rng, frames, failed=0., mismatched_image=False):
    """Frames of one or several views."""
    out = []
    for frame in range(frames):
        views = int(rng.integers(1, 4))
        rigid_transform = pose(rng, 10, 2)
        target = [pose(rng, 60, 5) for _ in range(views)]
        sample = CalibrationDataSample(metainfo=dict(
            frame_id=f'{frame:03d}', rigid_transform=rigid_transform,
            mismatched_image=mismatched_image, view_names=['front', 'left', 'right'][:views]))
        sample.lidar2cam = torch.tensor(np.stack(target))
        sample.pred_lidar2cam = torch.tensor(np.stack([pose(rng, 3, 1, T) for T in target]))
        sample.pred_valid = torch.tensor(rng.random(views) >= failed)
        sample.pred_inlier_ratio = torch.tensor(rng.integers(0, 6, views) / 5) * sample.pred_valid
        sample.pred_reprojection_error = torch.tensor(rng.random(views))
        out.append(sample)
    return out


def view_by_view(frames, identity=False):
    """Geodesic and Euler angle, distance and whether there is a pose, of each view, by scipy."""
    rows = []
    for sample in frames:
        for target, predicted, valid in zip(sample.lidar2cam.numpy(),
                                            sample.pred_lidar2cam.numpy(), sample.pred_valid):
            found = bool(valid) and np.isfinite(predicted).all()
            if identity or not found:
                predicted = target @ sample.rigid_transform
            turn = Rotation.from_matrix(predicted[:3, :3].T @ target[:3, :3])
            rows.append((np.degrees(turn.magnitude()),
                         np.abs(turn.as_euler('xzy', degrees=True)).sum(),
                         np.linalg.norm(predicted[:3, 3] - target[:3, 3]), identity or found))
    return [np.array(column) for column in zip(*rows)]


def brute_force(frames, thresholds, prefix=''):
    """The figures of one column of the table."""
    angle, euler, shift, good = view_by_view(frames, identity=prefix == 'identity_')
    out = {}
    for name, values in (('rre_geodesic_deg', angle), ('rre_euler_deg', euler), ('rte_m', shift)):
        out.update({f'{name}_mean': np.mean(values), f'{name}_std': np.std(values),
                    f'{name}_median': np.median(values)})
    for a, b in thresholds:
        out[f'recall_{a}deg_{b}m'] = np.mean((angle < a) & (shift < b) & good)
    if prefix != 'identity_':
        near = (angle < 5) & (shift < 2) & good
        ratios = np.concatenate([sample.pred_inlier_ratio for sample in frames])
        pairs = [(x > y) + 0.5 * (x == y) for x in ratios[near] for y in ratios[~near]]
        out.update(failure_rate=1 - np.mean(good), num_views=len(good),
                   confidence_auroc=np.mean(pairs) if pairs else np.nan)
    return {f'calibration/{prefix}{name}': value for name, value in out.items()}


def evaluate(frames, metric=None, **kwargs):
    metric = metric or CalibrationMetric(**kwargs)
    for sample in frames:
        metric.process(None, [sample.to_dict()])
    return metric.evaluate(len(frames))


@pytest.mark.parametrize('failed', [0., 0.3, 1.])
def test_agrees_with_brute_force(failed):
    frames = samples(np.random.default_rng(0), 40, failed)
    thresholds = ((10, 5), (5, 2))
    expected = {**brute_force(frames, thresholds), **brute_force(frames, thresholds, 'identity_')}
    found = evaluate(frames, thresholds=thresholds)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name
    assert np.isnan(found['calibration/confidence_auroc']) == (failed == 1)


def test_frames_with_mismatched_images_are_a_column_of_their_own():
    frames = samples(np.random.default_rng(6), 20, 0.2)
    control = samples(np.random.default_rng(7), 15, 0.5, mismatched_image=True)
    found = evaluate(frames + control)
    alone = evaluate(frames)
    assert {name: found[name] for name in alone} == alone
    expected = brute_force(control, ((10, 5), (5, 2), (2, 1)), 'mismatched_image_')
    assert set(found) == set(alone) | set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize('control', [False, True])
def test_curves_of_each_column(control):
    frames = samples(np.random.default_rng(8), 20, 0.3)
    wrong = samples(np.random.default_rng(9), 10, 0.3, mismatched_image=True) if control else []
    metric = CalibrationMetric(thresholds=((4, 3), (2, 6)))
    found = evaluate(frames + wrong, metric)
    columns = dict(predicted=view_by_view(frames), identity=view_by_view(frames, identity=True))
    if control:
        columns['mismatched image'] = view_by_view(wrong)
    assert list(metric.curves) == list(columns)
    for name, (angle, _, shift, good) in columns.items():
        curve = metric.curves[name]
        assert curve['rre_thresholds'][[0, -1]].tolist() == [0, 4]
        assert curve['rte_thresholds'][[0, -1]].tolist() == [0, 6]
        for kind, errors in (('rre', angle), ('rte', shift)):
            expected = [np.mean((errors < t) & good) for t in curve[f'{kind}_thresholds']]
            np.testing.assert_allclose(curve[kind], expected)
    # What misses one of both limits misses together at the most.
    predicted = metric.curves['predicted']
    assert found['calibration/recall_4deg_3m'] <= predicted['rre'][-1] < 1


def test_file_of_views_gives_the_figures_again(tmp_path):
    frames = samples(np.random.default_rng(10), 12, 0.3)
    control = samples(np.random.default_rng(11), 6, 0.3, mismatched_image=True)
    path = tmp_path / 'views.csv'
    found = evaluate(frames + control, out_file=str(path))
    with open(path, newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert [(r['frame_id'], r['view']) for r in rows] == [
        (s.frame_id, view) for s in frames + control for view in s.view_names]
    for prefix, flag in (('', '0'), ('mismatched_image_', '1')):
        part = [row for row in rows if row['mismatched_image'] == flag]
        near = np.array([float(r['rre_geodesic_deg']) < 5 and float(r['rte_m']) < 2
                         and r['valid'] == '1' for r in part])
        ratios = np.array([float(row['pred_inlier_ratio']) for row in part])
        assert np.mean(near) == pytest.approx(found[f'calibration/{prefix}recall_5deg_2m'])
        assert auroc(ratios, near) == pytest.approx(found[f'calibration/{prefix}confidence_auroc'])
    identity = [float(row['identity_rte_m']) for row in rows if row['mismatched_image'] == '0']
    assert np.median(identity) == found['calibration/identity_rte_m_median']
    assert [float(row['pred_reprojection_error']) for row in rows] == pytest.approx(
        np.concatenate([s.pred_reprojection_error for s in frames + control]))


def test_without_inlier_ratios_and_names_of_views(tmp_path, log):
    frames = samples(np.random.default_rng(12), 3)
    for sample in frames:
        del sample.pred_inlier_ratio, sample.pred_reprojection_error, sample.view_names
    found = evaluate(frames, out_file=str(tmp_path / 'views.csv'))
    assert 'calibration/confidence_auroc' not in found
    assert log[0].endswith('confidence_auroc is left out.') and 'AUROC' not in log[1]
    assert ',0,' in (tmp_path / 'views.csv').read_text()


def test_the_identity_baseline_is_the_pose_before_the_random_transform():
    frames = samples(np.random.default_rng(1), 1)
    frames[0].lidar2cam = frames[0].lidar2cam[:1]
    frames[0].pred_lidar2cam = frames[0].lidar2cam @ torch.tensor(frames[0].rigid_transform)
    frames[0].pred_valid = torch.tensor([True])
    found = evaluate(frames)
    for name in ('rre_geodesic_deg', 'rre_euler_deg', 'rte_m'):
        assert found[f'calibration/{name}_mean'] == found[f'calibration/identity_{name}_mean']


def test_a_failure_is_no_success_even_where_its_stand_in_is_right():
    sample = samples(np.random.default_rng(2), 1)[0]
    sample.set_field(np.eye(4), 'rigid_transform', field_type='metainfo')
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
    found.pop('calibration/confidence_auroc')  # of a few views, which may all be a success
    assert all(np.isfinite(value) for value in found.values())


def test_frames_that_pad_the_last_distributed_batch_are_dropped():
    frames = samples(np.random.default_rng(4), 5)
    metric = CalibrationMetric()
    for sample in frames:
        metric.process(None, [sample.to_dict()])
    assert len(metric.results) == 5  # a record a frame, whatever its number of views
    assert all(isinstance(e, float) for r in metric.results for e in r['predicted']['rte_m'])


def test_table_shows_every_column(log):
    frames = samples(np.random.default_rng(5), 10)
    found = evaluate(frames, thresholds=((5, 2), ))
    found_control = evaluate(
        frames + samples(np.random.default_rng(6), 4, 0.5, mismatched_image=True),
        thresholds=((5, 2), ))
    for table, figures, prefixes in ((log[0], found, ('', 'identity_')), (
            log[1], found_control, ('', 'identity_', 'mismatched_image_'))):
        lines = table.splitlines()
        assert lines[1].split() == ['predicted', 'identity', 'mismatched', 'image'][:2 * len(
            prefixes) - 2]
        recall = next(line for line in lines if line.startswith('recall < 5 deg, < 2 m'))
        assert recall.split()[7:] == [
            f"{figures[f'calibration/{prefix}recall_5deg_2m']:.3f}" for prefix in prefixes]
        failures = next(line for line in lines if line.startswith('failure rate'))
        assert len(failures.split()) == 2 + len(prefixes) - 1  # the identity cannot fail


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(ValueError, match='no view to evaluate'):
        CalibrationMetric().compute_metrics([])


def test_only_mismatched_images_is_an_error():
    frames = samples(np.random.default_rng(13), 2, mismatched_image=True)
    with pytest.raises(ValueError, match='no view to evaluate among 2 frames'):
        evaluate(frames)


@pytest.mark.parametrize('options, message', [
    (dict(thresholds=()), 'at least one pair'), (dict(out_file='views.txt'), r'a \.csv file')])
def test_refuses_options_that_mean_nothing(options, message):
    with pytest.raises(ValueError, match=message):
        CalibrationMetric(**options)


def test_recall_agrees_with_counting():
    rng = np.random.default_rng(0)
    errors, valid = rng.gamma(2, 3, 200), rng.random(200) < 0.8
    errors[:3] = 5., np.nan, np.inf
    thresholds = np.concatenate((np.linspace(0, 10, 41), [5.]))
    expected = [sum(e < t and v for e, v in zip(errors, valid)) / 200 for t in thresholds]
    np.testing.assert_allclose(recall_curve(errors, valid, thresholds), expected)


def test_recall_of_an_error_at_the_threshold_is_a_miss():
    assert recall_curve([1.], [True], [1., np.nextafter(1., 2.)]).tolist() == [0, 1]


def test_recall_has_failures_as_misses_at_every_threshold():
    assert recall_curve([0., 0.], [False, False], [1., np.inf]).tolist() == [0, 0]
    assert recall_curve([0., 0.], [False, True], [1., np.inf]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize('errors, valid', [([], []), ([1.], [True, False]), ([[1.]], [[True]])])
def test_recall_refuses_other_shapes(errors, valid):
    with pytest.raises(ValueError, match='of the same shape'):
        recall_curve(errors, valid, [1.])


def record(**kwargs):
    errors = dict(rre_geodesic_deg=[0.1, 1 / 3], rre_euler_deg=[0.2, 0.5], rte_m=[1., 2.])
    return dict(
        dict(frame_id='00/000001', view=['left', 'right'], mismatched_image=False,
             valid=[True, False], predicted=errors,
             identity={name: [7., 8.] for name in errors}), **kwargs)


def read_rows(path):
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_view(tmp_path):
    path = tmp_path / 'new' / 'views.csv'
    write_views(path, [
        record(pred_inlier_ratio=[0.25, 0.], pred_reprojection_error=[1.5, float('nan')]),
        record(frame_id='00/000002', mismatched_image=True)])
    rows = read_rows(path)
    columns = 'frame_id', 'view', 'mismatched_image', 'valid'
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ('00/000001', 'left', '0', '1'), ('00/000001', 'right', '0', '0'),
        ('00/000002', 'left', '1', '1'), ('00/000002', 'right', '1', '0')]
    assert float(rows[1]['rre_geodesic_deg']) == 1 / 3  # to the last digit
    assert (rows[1]['identity_rte_m'], rows[0]['pred_inlier_ratio']) == ('8.0', '0.25')
    assert rows[1]['pred_reprojection_error'] == 'nan' and rows[2]['pred_inlier_ratio'] == ''


def test_replaces_a_file_of_views(tmp_path):
    path = tmp_path / 'views.csv'
    for _ in range(2):
        write_views(path, [record()])
    assert len(read_rows(path)) == 2


def test_refuses_another_format_of_the_file_of_views():
    with pytest.raises(ValueError, match=r'expected the path of a \.csv file, found "views\.json"'):
        CalibrationMetric(out_file='views.json')


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match=r'file.views\.csv: the errors of the views could not be'):
        write_views(tmp_path / 'file' / 'views.csv', [record()])
