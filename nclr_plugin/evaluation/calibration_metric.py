"""Accuracy of the predicted pose between LiDAR and camera."""
from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from .confidence import auroc
from .pose_errors import pose_errors, recall_name, view_poses

# Names of the errors in the figures: as pose_errors has them, and as the table has them.
ERRORS = dict(rre_geodesic_deg='geodesic', rre_euler_deg='euler_xzy', rte_m='rte_m')
ERROR_TITLES = dict(rre_geodesic_deg='RRE geodesic [deg]', rre_euler_deg='RRE Euler sum [deg]',
                    rte_m='RTE [m]')
PREFIXES = {'predicted': '', 'identity': 'identity_', 'mismatched image': 'mismatched_image_'}
CONFIDENCES = ('pred_inlier_ratio', 'pred_reprojection_error')
CONFIDENT_OF = (5., 2.)  # degrees and metres of the success that a confidence should predict
CURVE_STEPS = 100


@METRICS.register_module()
class CalibrationMetric(BaseMetric):
    """Report pose errors over all views (scan and camera), beside those of the identity baseline.

    Per view: ``rre_geodesic_deg``, the angle of ``R_pred^-1 R_gt``; ``rre_euler_deg``, the sum of
    the absolute Euler angles (order xzy) of the same rotation, as published image-to-point-cloud
    registration reports it; ``rte_m``, the norm of the difference of the translations. The figures
    are mean, standard deviation and median of each, and

    - ``recall_<a>deg_<b>m``: share of views with geodesic error < a and translation error < b;
    - ``failure_rate``: share of views without a pose, see
      :func:`~nclr_plugin.evaluation.pose_errors.view_poses`; ``num_views``;
    - ``confidence_auroc``: how well ``pred_inlier_ratio`` separates views within 5 deg and 2 m
      from the others, see :func:`~nclr_plugin.evaluation.auroc`; NaN when all or none are within,
      absent without ``pred_inlier_ratio``;
    - ``identity_*``: errors and recalls of the identity baseline, the answer "the sensors have not
      moved" (``lidar2cam @ rigid_transform``). A method has to beat it;
    - ``mismatched_image_*``: all figures of the predictions for frames with mismatched images
      (``mismatched_image`` in the meta information), which count nowhere else. A method has to fail
      on them; what it still gets right is a guess from the scan alone.

    **Failures** are never dropped. A view without a pose counts against every recall, and in
    mean, deviation and median it has the errors of the identity baseline.

    Args:
        thresholds: Pairs (degrees, metres) for the recall.
        out_file: CSV file for the errors of each view, rewritten by each evaluation; see
            :func:`write_views`.
        kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of mmengine's ``BaseMetric``.

    Raises:
        ValueError: If there are no thresholds, or ``out_file`` is not a ``.csv``.

    Attributes:
        curves: After an evaluation, in the main process: for ``'predicted'``, ``'identity'`` and,
            if there is one, ``'mismatched image'`` the recall over thresholds (paper, Fig. 9): a
            dict of arrays ``rre`` over ``rre_thresholds`` (geodesic, degrees) and ``rte`` over
            ``rte_thresholds`` (metres), from zero to the largest of ``thresholds``.
        ranked: After an evaluation, the index in the test set of the ``'best'``, ``'median'`` and
            ``'worst'`` frame: by the larger of rotation and translation error, each over the first
            of ``thresholds``, of the frame's worst view. Frames with mismatched images are left
            out.
    """

    default_prefix = 'calibration'

    def __init__(self,
                 thresholds: Sequence[tuple[float, float]] = ((10, 5), (5, 2), (2, 1)),
                 out_file: str | None = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.thresholds = [(float(degrees), float(metres)) for degrees, metres in thresholds]
        if not self.thresholds:
            raise ValueError('CalibrationMetric: expected at least one pair (degrees, metres) in '
                             'thresholds, found none.')
        self.out_file = None if out_file is None else Path(out_file)
        if self.out_file is not None and self.out_file.suffix != '.csv':
            raise ValueError(f'out_file: expected the path of a .csv file, found "{out_file}".')
        self.curves: dict[str, dict[str, np.ndarray]] = {}
        self.ranked: dict[str, int] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the errors of each view of a batch.

        Args:
            data_batch: Not used.
            data_samples: :class:`~nclr_plugin.structures.CalibrationDataSample` as dicts, with
                ``lidar2cam``, ``pred_lidar2cam`` (V, 4, 4), ``pred_valid`` (V,) and
                ``rigid_transform``.
        """
        for sample in data_samples:
            poses = view_poses(sample)
            # One record a frame: that is how distributed collection drops padded frames.
            self.results.append(
                dict(frame_id=sample.get('frame_id'),
                     view=list(sample.get('view_names', range(len(poses.valid)))),
                     mismatched_image=bool(sample.get('mismatched_image', False)),
                     valid=poses.valid.tolist(),
                     predicted=_named_errors(poses.predicted, poses.target),
                     identity=_named_errors(poses.identity, poses.target),
                     **{name: sample[name].tolist() for name in CONFIDENCES if name in sample}))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute the figures over all views, and log a table of them.

        Args:
            results: Records that :meth:`process` kept, of all processes.

        Returns:
            Figures by name.

        Raises:
            ValueError: If no view has the image of its own scene.
            OSError: If ``out_file`` cannot be written.
        """
        columns = _columns(results)
        if 'predicted' not in columns:
            raise ValueError(
                f'CalibrationMetric: no view to evaluate among {len(results)} frames (those with '
                'mismatched_image set are a control and do not count); is the test set empty?')
        self.curves = {column: self._curves(views) for column, views in columns.items()}
        self.ranked = self._rank(results)
        metrics = {f'{PREFIXES[column]}{name}': value for column, views in columns.items()
                   for name, value in self._summarise(views).items()}
        if 'confidence_auroc' not in metrics:
            print_log('CalibrationMetric: no pred_inlier_ratio in the data samples; '
                      'confidence_auroc is left out.', logger='current')
        print_log(calibration_table(metrics, self.thresholds,
                                    {column: PREFIXES[column] for column in columns}),
                  logger='current')
        if self.out_file is not None:
            write_views(self.out_file, results)
        return metrics

    def _summarise(self, views: _Views) -> dict[str, float]:
        summary = {}
        for name in ERRORS:
            for statistic in ('mean', 'std', 'median'):
                summary[f'{name}_{statistic}'] = float(
                    getattr(np, statistic)(views.errors[name]))
        for degrees, metres in self.thresholds:
            summary[recall_name(degrees, metres)] = float(views.within(degrees, metres).mean())
        if views.method:
            summary['failure_rate'] = float(1 - views.valid.mean())
            summary['num_views'] = float(len(views.valid))
            if views.confidence is not None:
                summary['confidence_auroc'] = auroc(
                    views.confidence, views.within(*CONFIDENT_OF))
        return summary

    def _rank(self, results: list[dict]) -> dict[str, int]:
        degrees, metres = self.thresholds[0]
        errors = {
            index: max(max(frame['predicted']['rre_geodesic_deg']) / degrees,
                       max(frame['predicted']['rte_m']) / metres)
            for index, frame in enumerate(results)
            if frame['valid'] and not frame['mismatched_image']}
        order = sorted(errors, key=errors.get)
        return dict(best=order[0], median=order[len(order) // 2], worst=order[-1])

    def _curves(self, views: _Views) -> dict[str, np.ndarray]:
        rre_thresholds, rte_thresholds = (
            np.linspace(0, max(limits), CURVE_STEPS + 1) for limits in zip(*self.thresholds))
        return dict(
            rre=recall_curve(views.errors['rre_geodesic_deg'], views.valid, rre_thresholds),
            rte=recall_curve(views.errors['rte_m'], views.valid, rte_thresholds),
            rre_thresholds=rre_thresholds, rte_thresholds=rte_thresholds)


class _Views(NamedTuple):
    """Errors of the views of one column.

    Attributes:
        errors: (N,) errors of each kind.
        valid: (N,) whether there is a pose.
        confidence: (N,) inlier ratios; ``None`` when the samples have none.
        method: Whether these are predictions of a method, which can fail.
    """
    errors: dict[str, np.ndarray]
    valid: np.ndarray
    confidence: np.ndarray | None = None
    method: bool = True

    def within(self, degrees: float, metres: float) -> np.ndarray:
        """Return (N,) bool: views with a pose below both errors."""
        return ((self.errors['rre_geodesic_deg'] < degrees) & (self.errors['rte_m'] < metres)
                & self.valid)


def _columns(results: list[dict]) -> dict[str, _Views]:
    """Return the views of each column of the table; a column without views is left out."""
    columns = {}
    for column, control in (('predicted', False), ('mismatched image', True)):
        frames = [result for result in results if result['mismatched_image'] == control]
        if not any(frame['valid'] for frame in frames):  # lists: no frame has a view
            continue
        valid = np.concatenate([frame['valid'] for frame in frames]).astype(bool)
        confidence = None
        if all('pred_inlier_ratio' in frame for frame in frames):
            confidence = np.concatenate([frame['pred_inlier_ratio'] for frame in frames])
        columns[column] = _Views(_concatenate(frames, 'predicted'), valid, confidence)
        if not control:
            columns['identity'] = _Views(
                _concatenate(frames, 'identity'), np.ones_like(valid), method=False)
    return columns


def _named_errors(predicted: Any, target: Any) -> dict[str, list[float]]:
    errors = pose_errors(predicted, target)
    return {name: errors[kind] for name, kind in ERRORS.items()}


def _concatenate(results: list[dict], key: str) -> dict[str, np.ndarray]:
    return {name: np.concatenate([result[key][name] for result in results]) for name in ERRORS}


def recall_curve(errors: np.ndarray, valid: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the share of views with an error below each threshold (paper, Fig. 9).

    Args:
        errors: (N,) errors in any unit; NaN is below no threshold.
        valid: (N,) bool. A view without a pose is a miss at every threshold, whatever its error.
        thresholds: (T,) thresholds in the same unit.

    Returns:
        (T,) float64, from 0 to 1.

    Raises:
        ValueError: If there is no view, or errors and valid differ in length.

    Example:
        >>> recall_curve([0.5, 2., 1.], [True, True, False], [1., 3.])
        array([0.33333333, 0.66666667])
    """
    errors, valid = np.asarray(errors, np.float64), np.asarray(valid, bool)
    if errors.ndim != 1 or errors.shape != valid.shape or not len(errors):
        raise ValueError('recall_curve: expected errors and valid of the same shape (N,) with '
                         f'N > 0, found {errors.shape} and {valid.shape}.')
    return np.searchsorted(np.sort(errors[valid]), thresholds, side='left') / len(errors)


def calibration_table(metrics: dict[str, float], thresholds: list[tuple[float, float]],
                      prefixes: dict[str, str]) -> str:
    """Format the figures as text: a line for each figure, a column for each kind of answer.

    Args:
        metrics: Figures by name.
        thresholds: Pairs (degrees, metres) of the recalls.
        prefixes: Prefix of the names of the figures, by title of the column.
    """
    rows = [(f'{title} {statistic}', f'{name}_{statistic}')
            for name, title in ERROR_TITLES.items() for statistic in ('mean', 'std', 'median')]
    rows += [(f'recall < {degrees:g} deg, < {metres:g} m', recall_name(degrees, metres))
             for degrees, metres in thresholds]
    rows += [('failure rate', 'failure_rate'), ('confidence AUROC', 'confidence_auroc')]
    title = f'Calibration of {metrics["num_views"]:.0f} views'
    if 'mismatched_image_num_views' in metrics:
        title += f', and of {metrics["mismatched_image_num_views"]:.0f} with a mismatched image'
    lines = [f'{title} (a view without a pose is a miss, with the errors of the identity baseline)',
             _line('', list(prefixes))]
    for title, name in rows:
        values = [metrics.get(prefix + name) for prefix in prefixes.values()]
        if any(value is not None for value in values):
            lines.append(_line(title, ['' if value is None else f'{value:.3f}'
                                       for value in values]))
    return '\n'.join(lines)


def _line(title: str, values: list[str]) -> str:
    return f'{title:<28}' + ''.join(f'{value:>18}' for value in values)


def write_views(path: Path, results: list[dict]) -> None:
    """Write a CSV file with a row for each view; create its folder if it does not exist.

    Columns: ``frame_id``, ``view`` (name of the camera), ``mismatched_image`` and ``valid`` (0 or
    1), ``rre_geodesic_deg``, ``rre_euler_deg``, ``rte_m`` of the prediction, the same of the
    identity baseline with the prefix ``identity_``, ``pred_inlier_ratio`` and
    ``pred_reprojection_error`` (empty when the samples have none). Where ``valid`` is 0 the errors
    of the prediction are those of the identity baseline.

    Args:
        path: Path of the file; an existing one is replaced.
        results: Records of :class:`CalibrationMetric`, one a frame.

    Raises:
        OSError: If the file cannot be written.
    """
    rows = [row for result in results for row in _rows(result)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, 'w', encoding='utf-8', newline='') as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise OSError(f'{path}: the errors of the views could not be written ({error}); is the '
                      'folder writable?') from error


def _rows(result: dict) -> list[dict]:
    rows = []
    for index, (view, valid) in enumerate(zip(result['view'], result['valid'])):
        rows.append(
            dict(frame_id=result['frame_id'], view=view,
                 mismatched_image=int(result['mismatched_image']), valid=int(valid),
                 **{name: values[index] for name, values in result['predicted'].items()},
                 **{f'identity_{name}': values[index]
                    for name, values in result['identity'].items()},
                 **{name: result[name][index] if name in result else '' for name in CONFIDENCES}))
    return rows
