"""Image-to-point-cloud registration by the protocols of published tables (CrossI2P, Eq. 18-22).

Protocols differ in the rotation error, in the frames that enter a mean, and in the treatment of a
frame without a pose. A figure means nothing without the name of its protocol.
"""
from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from ..geometry.camera import project_points
from .pose_errors import pose_errors, recall_name, view_poses

RRE_KINDS = ('euler_xzy', 'euler_XYZ', 'geodesic')
NO_TRANSLATION = 1e-3  # metres; a smaller one is rounding

_AS_IDENTITY = ('has the errors of the identity baseline in mean and deviation, and misses every '
                'recall')
_LEFT_OUT = 'is left out of mean and deviation, and misses every recall'


class Protocol(NamedTuple):
    """Rule that turns errors of single views into the figures of a table.

    Attributes:
        rotation: Rotation error: ``'euler_xzy'`` or ``'euler_XYZ'`` (sum of the absolute Euler
            angles of ``R_pred^-1 R_gt``), or ``'geodesic'`` (its angle).
        mean_over: Views in mean and deviation: ``'all'``, ``'solved'`` (those with a pose) or
            ``'recalled'`` (those within the first of ``thresholds``).
        thresholds: Pairs (degrees, metres) of the recalls, shares of all views below both.
        zero_translation: Whether the random transform may only rotate the scan.
        origin: Publications that use it, and differences to them, for the log.
    """
    rotation: str
    mean_over: str
    thresholds: tuple[tuple[float, float], ...]
    zero_translation: bool = False
    origin: str = ''

    @property
    def failures(self) -> str:
        """Treatment of a view without a pose, for the log."""
        return _AS_IDENTITY if self.mean_over == 'all' else _LEFT_OUT


PROTOCOLS: dict[str, Protocol] = {
    'all_frames': Protocol(
        'geodesic', 'all', ((10., 5.), (5., 2.), (2., 1.)),
        origin='no view is left out and the error is an angle: the one to compare methods by'),
    'deepi2p_5_2': Protocol(
        'euler_xzy', 'all', ((5., 2.), ),
        origin='DeepI2P; its code also replaces a pose farther than 14.14 m by the identity, and '
               'leaves frames of zero cost out of the mean; this metric does neither'),
    'corri2p_5_2': Protocol(
        'euler_xzy', 'all', ((5., 2.), ),
        origin='the code of CorrI2P and VP2P-Match, whose mean includes the output of a '
               'failed PnP, and which drop the last incomplete batch'),
    'corri2p_10_5': Protocol(
        'euler_xzy', 'recalled', ((10., 5.), ),
        origin='tables that reject frames beyond 10 deg or 5 m, of CorrI2P and later; CrossI2P'),
    'cofii2p': Protocol(
        'euler_xzy', 'solved', ((45., 10.), (10., 5.)),
        origin='CoFiI2P since 2026-01: translations in training and evaluation, seeded transforms'),
    'zero_translation': Protocol(
        'euler_xzy', 'solved', ((45., 10.), (10., 5.)), zero_translation=True,
        origin='LEGACY: CoFiI2P as released in 2024-10, whose transforms only rotate the scan; not '
               'comparable with any of the others'),
}


def get_protocol(name: str) -> Protocol:
    """Return the protocol of a name.

    Raises:
        ValueError: If the name is unknown.
    """
    if name not in PROTOCOLS:
        raise ValueError(f'protocol "{name}" is unknown: expected one of {sorted(PROTOCOLS)}.')
    return PROTOCOLS[name]


def protocol_figures(protocol: Protocol, rotation_errors: dict[str, np.ndarray],
                     translation_errors: np.ndarray, solved: np.ndarray) -> dict[str, float]:
    """Compute the figures of a protocol.

    Args:
        protocol: The protocol.
        rotation_errors: (N,) degrees for each of ``RRE_KINDS``; a view without a pose has the
            error of the identity baseline.
        translation_errors: (N,) metres, likewise.
        solved: (N,) bool, views with a pose.

    Returns:
        ``rre_deg_mean``, ``rre_deg_std``, ``rte_m_mean``, ``rte_m_std`` (population; NaN when no
        view is left), ``num_averaged``, and ``recall_<a>deg_<b>m``.
    """
    rotation = rotation_errors[protocol.rotation]
    within = [solved & (rotation < degrees) & (translation_errors < metres)
              for degrees, metres in protocol.thresholds]
    averaged = dict(all=np.ones_like(solved), solved=solved, recalled=within[0])[protocol.mean_over]
    figures = dict(num_averaged=float(averaged.sum()))
    for name, errors in (('rre_deg', rotation), ('rte_m', translation_errors)):
        for statistic in (np.mean, np.std):
            figures[f'{name}_{statistic.__name__}'] = (
                float(statistic(errors[averaged])) if averaged.any() else float('nan'))
    for (degrees, metres), inside in zip(protocol.thresholds, within):
        figures[recall_name(degrees, metres)] = float(inside.mean())
    return figures


def is_translation_free(rigid_transform: np.ndarray, lidar2cam: np.ndarray) -> bool:
    """Return whether a random transform only rotates the scan, about the LiDAR or a camera.

    Args:
        rigid_transform: (4, 4) random transform, ``p' = rigid_transform @ p``.
        lidar2cam: (V, 4, 4) extrinsics after the transform.
    """
    in_camera = lidar2cam @ rigid_transform @ np.linalg.inv(lidar2cam)  # in camera coordinates
    shifts = np.abs(np.concatenate([rigid_transform[None], in_camera])[:, :3, 3]).max(1)
    return bool(shifts.min() < NO_TRANSLATION)


@METRICS.register_module()
class RegistrationMetric(BaseMetric):
    r"""Report errors, recalls and match quality of any model with ``pred_lidar2cam``.

    The figures of each protocol (see :data:`PROTOCOLS` for its mean and its failures) are named
    ``<protocol>_rre_deg_mean`` and so on. Beside them:

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
            metrics[recall_name(degrees, metres)] = float(
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
