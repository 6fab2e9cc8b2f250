"""How well the pose between LiDAR and camera is found."""
from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS
from torch import Tensor

from ..geometry.se3 import (rotation_error_euler_deg, rotation_error_geodesic_deg,
                            translation_error)
from .calibration_table import calibration_table, recall_name
from .confidence import auroc
from .recall import recall_curve
from .view_file import check_view_file, write_views

ERRORS = ('rre_geodesic_deg', 'rre_euler_deg', 'rte_m')
PREFIXES = {'predicted': '', 'identity': 'identity_', 'wrong image': 'wrong_image_'}
CONFIDENT_OF = (5., 2.)  # degrees and metres of the success that a confidence should foretell
CURVE_STEPS = 100


@METRICS.register_module()
class CalibrationMetric(BaseMetric):
    """Pose errors over all views (scan and camera), beside the pose one has without a method.

    Per view: ``rre_geodesic_deg``, the angle of ``R_pred^-1 R_gt``; ``rre_euler_deg``, the sum of
    the absolute Euler angles (order xzy) of the same rotation, as published image-to-point-cloud
    registration reports it; ``rte_m``, the norm of the difference of the translations. Reported:
    mean, standard deviation and median of each, and

    - ``recall_<a>deg_<b>m``: share of views with geodesic error < a and translation error < b;
    - ``failure_rate``: share of views without a pose, that is ``pred_valid`` False or a pose with
      entries that are not finite; ``num_views``;
    - ``confidence_auroc``: how well ``pred_inlier_ratio`` tells views within 5 deg and 2 m from the
      others, see :func:`~nclr_plugin.evaluation.auroc`; not a number when all or none are within,
      absent without ``pred_inlier_ratio``;
    - ``identity_*``: the errors and recalls of the identity placement, that is of the answer "the
      sensors have not moved" (``lidar2cam @ placement``). A method has to beat it.
    - ``wrong_image_*``: all figures of the predictions for frames whose images are of another
      scene (``wrong_image`` in the meta information), which count nowhere else. A method has to
      fail on them: what it gets right there, it guesses from the scan alone.

    **Failures** are never dropped. A view without a pose counts against every recall, and in
    mean, deviation and median it has the errors of the identity placement, which is the pose that
    is left when none is found.

    Args:
        thresholds: Pairs (degrees, metres) for the recall.
        out_file: A CSV file for the errors of each view, written anew by each evaluation; see
            :func:`~nclr_plugin.evaluation.view_file.write_views`.
        kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of mmengine's ``BaseMetric``.

    Raises:
        ValueError: When there are no thresholds, or ``out_file`` is no ``.csv``.

    Attributes:
        curves: After an evaluation, in the main process: for ``'predicted'``, ``'identity'`` and,
            if there is one, ``'wrong image'`` the recall over thresholds (paper, Fig. 9), each a
            dict of arrays ``rre`` over ``rre_thresholds`` (geodesic, degrees) and ``rte`` over
            ``rte_thresholds`` (metres), from zero to the largest of ``thresholds``.
        ranked: Likewise, for ``'best'``, ``'median'`` and ``'worst'`` the place of that frame in
            the test set: by the larger of rotation and translation error, each over the first of
            ``thresholds``, of the frame's worst view. Control frames are left out.
    """

    default_prefix = 'calibration'

    def __init__(self,
                 thresholds: Sequence[Tuple[float, float]] = ((10, 5), (5, 2), (2, 1)),
                 out_file: Optional[str] = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.thresholds = [(float(degrees), float(metres)) for degrees, metres in thresholds]
        if not self.thresholds:
            raise ValueError('CalibrationMetric: expected at least one pair (degrees, metres) in '
                             'thresholds, found none.')
        self.out_file = None if out_file is None else check_view_file(out_file)
        self.curves: Dict[str, Dict[str, np.ndarray]] = {}
        self.ranked: Dict[str, int] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the errors of each view of a batch.

        Args:
            data_batch: Not used.
            data_samples: :class:`~nclr_plugin.structures.CalibrationDataSample` as dicts, with
                ``lidar2cam``, ``pred_lidar2cam`` (V, 4, 4), ``pred_valid`` (V,), ``placement``.
        """
        for sample in data_samples:
            target = sample['lidar2cam'].detach().cpu().double()
            predicted = sample['pred_lidar2cam'].detach().cpu().double()
            identity = target @ torch.as_tensor(np.asarray(sample['placement'])).double()
            valid = sample['pred_valid'].cpu().bool() & predicted.isfinite().flatten(1).all(dim=1)
            answer = torch.where(valid[:, None, None], predicted, identity)
            # One record a frame: that is how distributed collection drops padded frames.
            self.results.append(
                dict(frame_id=sample.get('frame_id'),
                     view=list(sample.get('view_names', range(len(valid)))),
                     wrong_image=bool(sample.get('wrong_image', False)),
                     valid=valid.tolist(),
                     predicted=_pose_errors(answer, target),
                     identity=_pose_errors(identity, target),
                     **{name: sample[name].tolist() for name in
                        ('pred_inlier_ratio', 'pred_reprojection_error') if name in sample}))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Figures over all views, and a table of them in the log.

        Args:
            results: What :meth:`process` kept, of all processes.

        Returns:
            Figures by name.

        Raises:
            ValueError: When there is no view with the image of its own scene.
            OSError: When ``out_file`` cannot be written.
        """
        columns = _columns(results)
        if 'predicted' not in columns:
            raise ValueError(
                f'CalibrationMetric: no view to evaluate among {len(results)} frames (those with '
                'wrong_image set are a control and do not count); is the test set empty?')
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

    def _summarise(self, views: _Views) -> Dict[str, float]:
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

    def _rank(self, results: List[dict]) -> Dict[str, int]:
        degrees, metres = self.thresholds[0]
        errors = {
            index: max(max(frame['predicted']['rre_geodesic_deg']) / degrees,
                       max(frame['predicted']['rte_m']) / metres)
            for index, frame in enumerate(results) if frame['valid'] and not frame['wrong_image']}
        order = sorted(errors, key=errors.get)
        return dict(best=order[0], median=order[len(order) // 2], worst=order[-1])

    def _curves(self, views: _Views) -> Dict[str, np.ndarray]:
        rre_thresholds, rte_thresholds = (
            np.linspace(0, max(limits), CURVE_STEPS + 1) for limits in zip(*self.thresholds))
        return dict(
            rre=recall_curve(views.errors['rre_geodesic_deg'], views.valid, rre_thresholds),
            rte=recall_curve(views.errors['rte_m'], views.valid, rte_thresholds),
            rre_thresholds=rre_thresholds, rte_thresholds=rte_thresholds)


class _Views(NamedTuple):
    """Errors of the views of one column.

    Attributes:
        errors: (N,) of each kind.
        valid: (N,) whether there is a pose.
        confidence: (N,) inlier ratios; ``None`` when the samples have none.
        method: Whether these are answers of a method, which can fail.
    """
    errors: Dict[str, np.ndarray]
    valid: np.ndarray
    confidence: Optional[np.ndarray] = None
    method: bool = True

    def within(self, degrees: float, metres: float) -> np.ndarray:
        """(N,) bool, views with a pose that is near enough."""
        return ((self.errors['rre_geodesic_deg'] < degrees) & (self.errors['rte_m'] < metres)
                & self.valid)


def _columns(results: List[dict]) -> Dict[str, _Views]:
    """Views of each column of the table; a column without views is left out."""
    columns = {}
    for column, control in (('predicted', False), ('wrong image', True)):
        frames = [result for result in results if result['wrong_image'] == control]
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


def _pose_errors(predicted: Tensor, target: Tensor) -> Dict[str, List[float]]:
    rotations = predicted[:, :3, :3], target[:, :3, :3]
    return dict(rre_geodesic_deg=rotation_error_geodesic_deg(*rotations).tolist(),
                rre_euler_deg=rotation_error_euler_deg(*rotations).tolist(),
                rte_m=translation_error(predicted, target).tolist())


def _concatenate(results: List[dict], key: str) -> Dict[str, np.ndarray]:
    return {name: np.concatenate([result[key][name] for result in results]) for name in ERRORS}
