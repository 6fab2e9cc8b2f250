"""Image-to-point-cloud registration by named protocols (CrossI2P, Eq. 18-22)."""
from __future__ import annotations

from typing import Any, Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from ..geometry.camera import project_points
from .pose_errors import pose_errors, view_poses
from .protocols import RRE_KINDS, get_protocol, is_translation_free, protocol_figures


@METRICS.register_module()
class RegistrationMetric(BaseMetric):
    r"""Report errors, recalls and match quality of any model with ``pred_lidar2cam``.

    The figures of each protocol (see :data:`~nclr_plugin.evaluation.protocols.PROTOCOLS` for its
    mean and its failures) are named ``<protocol>_rre_deg_mean`` and so on. Beside them:

    - ``inlier_ratio_<tau>px`` (Eq. 20): share of a view's matches whose pixel is nearer than
      :math:`\tau` to the true projection of the point; the mean over views, where a view without
      matches counts as zero;
    - ``rmse_px`` (Eq. 21): root mean *square* of a view's distances. As printed, Eq. 21 has the
      distances without a square: ``printed_rmse_px``. Both are means over the views with matches;
    - ``matching_recall`` (Eq. 22, the RR of the paper's formula): share of the views whose RMSE is
      below ``rmse_px``; the RR of the tables is a recall by thresholds;
    - ``share_reliable``: share of the views with more than ``confidence`` of their matches below
      ``inlier_px`` ("when 90% of the points are correctly matched");
    - ``failure_rate``, ``num_views``.

    A point behind the true camera has no projection: its match is wrong, and the RMSE of its view
    is infinite, which is a miss and enters no mean. Frames with ``mismatched_image`` set count
    nowhere.

    Args:
        protocols: Names of the protocols.
        thresholds: Further pairs (degrees, metres) for recalls by geodesic angle over all views.
        inlier_px: :math:`\tau` of Eq. 20, pixels of the model's input image; one or several.
        rmse_px: :math:`\tau` of Eq. 22.
        confidence: Share of correct matches above which a view is reliable.
        kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of mmengine's ``BaseMetric``.

    Raises:
        ValueError: If a protocol is unknown; while testing, if a protocol without translations
            meets a random transform with one.
    """

    default_prefix = 'registration'

    def __init__(self,
                 protocols: Sequence[str] = ('all_frames', 'corri2p_10_5'),
                 thresholds: Sequence[Sequence[float]] = (),
                 inlier_px: Sequence[float] = (5., ),
                 rmse_px: float = 5.,
                 confidence: float = 0.9,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.protocols = {name: get_protocol(name) for name in protocols}
        self.thresholds = [(float(degrees), float(metres)) for degrees, metres in thresholds]
        self.inlier_px = [float(value) for value in inlier_px]
        self.rmse_px = float(rmse_px)
        self.confidence = float(confidence)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the errors of each view of a batch.

        Args:
            data_batch: Not used.
            data_samples: :class:`~nclr_plugin.structures.CalibrationDataSample` as dicts, with
                ``lidar2cam``, ``cam2img``, ``rigid_transform``, ``pred_lidar2cam``, ``pred_valid``
                and, for the matches, ``pred_matches``.
        """
        for sample in data_samples:
            poses = view_poses(sample)
            self._check_translation(sample, poses.target.numpy())
            matches = sample.get('pred_matches') or [None] * len(poses.target)
            self.results.append(dict(
                mismatched_image=bool(sample.get('mismatched_image', False)),
                solved=poses.valid.tolist(),
                **pose_errors(poses.predicted, poses.target),
                matches=[self._match_figures(*view) for view in zip(
                    matches, poses.target, sample['cam2img'].detach().cpu().double())]))

    def _check_translation(self, sample: dict, target: np.ndarray) -> None:
        rigid_transform = np.asarray(sample['rigid_transform'], np.float64)
        strict = [name for name, protocol in self.protocols.items() if protocol.zero_translation]
        if strict and not is_translation_free(rigid_transform, target):
            raise ValueError(
                f'RegistrationMetric: protocol {strict[0]} is for random transforms that only '
                f"rotate the scan, but that of frame {sample.get('frame_id')} shifts it by "
                f'{rigid_transform[:3, 3].round(2).tolist()} m; set translation=(0., 0., 0.) of '
                'RandomRigidTransform in the test pipeline, or choose another protocol.')

    def _match_figures(self, matches: Any, pose: torch.Tensor,
                       cam2img: torch.Tensor) -> dict[str, Any] | None:
        """Return the errors of a view's matches; ``None`` without any match."""
        if matches is None or not len(matches.get('points')):
            return None
        pixels, depth = project_points(matches.get('points').detach().cpu().double(), pose,
                                       cam2img)
        distance = (pixels - matches.get('pixels').detach().cpu().double()).norm(dim=-1)
        ahead = depth > 0
        inliers = [float(((distance < limit) & ahead).double().mean()) for limit in self.inlier_px]
        # Behind the camera there is no distance; such a match must not look close.
        distance = torch.where(ahead, distance, torch.full_like(distance, torch.inf))
        return dict(inliers=inliers, rmse=float(distance.square().mean().sqrt()),
                    printed_rmse=float(distance.mean().sqrt()))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute the figures over all views, and log a table of them.

        Raises:
            ValueError: If no view has the image of its own scene.
        """
        frames = [result for result in results if not result['mismatched_image']]
        if not any(frame['solved'] for frame in frames):
            raise ValueError(f'RegistrationMetric: no view to evaluate among {len(results)} frames;'
                             ' is the test set empty?')
        solved = np.concatenate([frame['solved'] for frame in frames]).astype(bool)
        rotation = {kind: np.concatenate([frame[kind] for frame in frames]) for kind in RRE_KINDS}
        translation = np.concatenate([frame['rte_m'] for frame in frames])
        metrics = {}
        for name, protocol in self.protocols.items():
            figures = protocol_figures(protocol, rotation, translation, solved)
            metrics.update({f'{name}_{key}': value for key, value in figures.items()})
        for degrees, metres in self.thresholds:
            metrics[f'recall_{degrees:g}deg_{metres:g}m'] = float(
                (solved & (rotation['geodesic'] < degrees) & (translation < metres)).mean())
        metrics.update(self._matching([view for frame in frames for view in frame['matches']]))
        metrics['failure_rate'] = float(1 - solved.mean())
        metrics['num_views'] = float(len(solved))
        print_log(self.table(metrics), logger='current')
        return metrics

    def _matching(self, views: list[dict | None]) -> dict[str, float]:
        matched = [view for view in views if view is not None]
        if not matched:
            return {}
        metrics = {}
        for index, limit in enumerate(self.inlier_px):
            share = np.array([view['inliers'][index] for view in matched])
            metrics[f'inlier_ratio_{limit:g}px'] = float(share.sum() / len(views))
            if index == 0:
                metrics['share_reliable'] = float((share > self.confidence).sum() / len(views))
        rmse = np.array([view['rmse'] for view in matched])
        finite = np.isfinite(rmse)
        metrics['rmse_px'] = float(rmse[finite].mean()) if finite.any() else float('nan')
        printed = np.array([view['printed_rmse'] for view in matched])
        metrics['printed_rmse_px'] = float(
            printed[finite].mean()) if finite.any() else float('nan')
        metrics['matching_recall'] = float((rmse < self.rmse_px).sum() / len(views))
        return metrics

    def table(self, metrics: dict[str, float]) -> str:
        """Format the figures as text: a block for each protocol, with its rule for failures."""
        lines = [f'Registration of {metrics["num_views"]:.0f} views, '
                 f'{100 * metrics["failure_rate"]:.1f}% without a pose']
        for name, protocol in self.protocols.items():
            value = {key[len(name) + 1:]: figure for key, figure in metrics.items()
                     if key.startswith(f'{name}_')}
            recalls = ', '.join(f'{key[7:]} {100 * figure:.2f}%' for key, figure in value.items()
                                if key.startswith('recall_'))
            lines += [f'{name}: {protocol.origin}',
                      f'  RRE ({protocol.rotation}) {value["rre_deg_mean"]:.2f} +- '
                      f'{value["rre_deg_std"]:.2f} deg, RTE {value["rte_m_mean"]:.2f} +- '
                      f'{value["rte_m_std"]:.2f} m over {value["num_averaged"]:.0f} '
                      f'({protocol.mean_over}); recall {recalls}',
                      f'  a view without a pose {protocol.failures}']
        lines += [f'{key}: {figure:.3f}' for key, figure in metrics.items()
                  if key.startswith(('inlier', 'rmse', 'printed', 'matching', 'share', 'recall'))]
        return '\n'.join(lines)
