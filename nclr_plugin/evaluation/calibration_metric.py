"""How well the pose between LiDAR and camera is found."""
from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS
from torch import Tensor

from ..geometry.se3 import (rotation_error_euler_deg, rotation_error_geodesic_deg,
                            translation_error)

ERRORS = ('rre_geodesic_deg', 'rre_euler_deg', 'rte_m')


@METRICS.register_module()
class CalibrationMetric(BaseMetric):
    """Pose errors over all views (scan and camera), beside the pose one has without a method.

    Per view: ``rre_geodesic_deg``, the angle of ``R_pred^-1 R_gt``; ``rre_euler_deg``, the sum of
    the absolute Euler angles (order xzy) of the same rotation, as published image-to-point-cloud
    registration reports it; ``rte_m``, the norm of the difference of the translations. Reported:
    mean, standard deviation and median of each, and

    - ``recall_<a>deg_<b>m``: share of views with geodesic error < a and translation error < b;
    - ``failure_rate``: share of views without a pose, that is ``pred_valid`` False or a pose with
      entries that are not finite;
    - ``identity_*``: the same figures for the identity placement, that is for the answer "the
      sensors have not moved" (``lidar2cam @ placement``). A method has to beat it.

    **Failures** are never dropped. A view without a pose counts against every recall, and in
    mean, deviation and median it has the errors of the identity placement, which is the pose that
    is left when none is found.

    Args:
        thresholds: Pairs (degrees, metres) for the recall.
        kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of mmengine's ``BaseMetric``.
    """

    default_prefix = 'calibration'

    def __init__(self,
                 thresholds: Sequence[Tuple[float, float]] = ((10, 5), (5, 2), (2, 1)),
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.thresholds = [(float(degrees), float(metres)) for degrees, metres in thresholds]

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
                dict(valid=valid.tolist(),
                     predicted=_pose_errors(answer, target),
                     identity=_pose_errors(identity, target)))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Figures over all views, and a table of them in the log.

        Args:
            results: What :meth:`process` kept, of all processes.

        Returns:
            Figures by name.

        Raises:
            ValueError: When there is no view.
        """
        valid = np.concatenate([np.asarray(r['valid'], bool) for r in results] or [[]]).astype(bool)
        if not len(valid):
            raise ValueError('CalibrationMetric: no view to evaluate; is the test set empty?')
        ours = self._summarise(_concatenate(results, 'predicted'), valid)
        identity = self._summarise(_concatenate(results, 'identity'), np.ones_like(valid))
        metrics = dict(ours, failure_rate=float(1 - valid.mean()), num_views=float(len(valid)))
        metrics.update({f'identity_{name}': value for name, value in identity.items()})
        print_log(self._table(metrics), logger='current')
        return metrics

    def _summarise(self, errors: Dict[str, np.ndarray], valid: np.ndarray) -> Dict[str, float]:
        summary = {}
        for name in ERRORS:
            for statistic in ('mean', 'std', 'median'):
                summary[f'{name}_{statistic}'] = float(getattr(np, statistic)(errors[name]))
        for degrees, metres in self.thresholds:
            success = (errors['rre_geodesic_deg'] < degrees) & (errors['rte_m'] < metres) & valid
            summary[_recall_name(degrees, metres)] = float(success.mean())
        return summary

    def _table(self, metrics: Dict[str, float]) -> str:
        """The figures as text, one line each: name, predicted, identity placement."""
        rows = [('', 'predicted', 'identity')]
        for title, name in (('RRE geodesic [deg]', 'rre_geodesic_deg'),
                            ('RRE Euler sum [deg]', 'rre_euler_deg'), ('RTE [m]', 'rte_m')):
            rows += [(f'{title} {statistic}', ) + tuple(
                f'{metrics[prefix + name + "_" + statistic]:.3f}' for prefix in ('', 'identity_'))
                     for statistic in ('mean', 'std', 'median')]
        for degrees, metres in self.thresholds:
            name = _recall_name(degrees, metres)
            rows.append((f'recall < {degrees:g} deg, < {metres:g} m', f'{metrics[name]:.3f}',
                         f'{metrics["identity_" + name]:.3f}'))
        rows.append(('failure rate', f'{metrics["failure_rate"]:.3f}', ''))
        lines = [f'{name:<28}{ours:>12}{identity:>12}' for name, ours, identity in rows]
        return '\n'.join([f'Calibration of {metrics["num_views"]:.0f} views (one without a pose is '
                          'a miss, with the errors of the identity placement)'] + lines)


def _pose_errors(predicted: Tensor, target: Tensor) -> Dict[str, List[float]]:
    rotations = predicted[:, :3, :3], target[:, :3, :3]
    return dict(rre_geodesic_deg=rotation_error_geodesic_deg(*rotations).tolist(),
                rre_euler_deg=rotation_error_euler_deg(*rotations).tolist(),
                rte_m=translation_error(predicted, target).tolist())


def _concatenate(results: List[dict], key: str) -> Dict[str, np.ndarray]:
    return {name: np.concatenate([result[key][name] for result in results]) for name in ERRORS}


def _recall_name(degrees: float, metres: float) -> str:
    return f'recall_{degrees:g}deg_{metres:g}m'
