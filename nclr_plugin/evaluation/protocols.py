"""Evaluation protocols of published image-to-point-cloud registration, by name.

They differ in the rotation error, in the frames that enter a mean, and in the treatment of a frame
without a pose. A figure means nothing without the name of its protocol.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

RRE_KINDS = ('euler_xzy', 'euler_XYZ', 'geodesic')


class Protocol(NamedTuple):
    """Rule that turns errors of single views into the figures of a table.

    Attributes:
        rotation: Rotation error: ``'euler_xzy'`` or ``'euler_XYZ'`` (sum of the absolute Euler
            angles of ``R_pred^-1 R_gt``), or ``'geodesic'`` (its angle).
        mean_over: Views in mean and deviation: ``'all'``, ``'solved'`` (those with a pose) or
            ``'recalled'`` (those within the first of ``thresholds``).
        thresholds: Pairs (degrees, metres) of the recalls, shares of all views below both.
        failures: Treatment of a view without a pose, for the log.
        zero_translation: Whether the random transform may only rotate the scan.
        origin: Publications that use it, and differences to them, for the log.
    """
    rotation: str
    mean_over: str
    thresholds: tuple[tuple[float, float], ...]
    failures: str
    zero_translation: bool = False
    origin: str = ''


_AS_IDENTITY = ('has the errors of the identity baseline in mean and deviation, and misses every '
                'recall')
_LEFT_OUT = 'is left out of mean and deviation, and misses every recall'

PROTOCOLS: dict[str, Protocol] = {
    'all_frames': Protocol(
        'geodesic', 'all', ((10., 5.), (5., 2.), (2., 1.)), _AS_IDENTITY,
        origin='no view is left out and the error is an angle: the one to compare methods by'),
    'deepi2p_5_2': Protocol(
        'euler_xzy', 'all', ((5., 2.), ), _AS_IDENTITY,
        origin='DeepI2P; its code also replaces a pose farther than 14.14 m by the identity, and '
               'leaves frames of zero cost out of the mean; this metric does neither'),
    'corri2p_5_2': Protocol(
        'euler_xzy', 'all', ((5., 2.), ), _AS_IDENTITY,
        origin='the code of CorrI2P and VP2P-Match, whose mean includes the output of a '
               'failed PnP, and which drop the last incomplete batch'),
    'corri2p_10_5': Protocol(
        'euler_xzy', 'recalled', ((10., 5.), ), _LEFT_OUT,
        origin='tables that reject frames beyond 10 deg or 5 m, of CorrI2P and later; CrossI2P'),
    'cofii2p': Protocol(
        'euler_xzy', 'solved', ((45., 10.), (10., 5.)), _LEFT_OUT,
        origin='CoFiI2P since 2026-01: translations in training and evaluation, seeded transforms'),
    'zero_translation': Protocol(
        'euler_xzy', 'solved', ((45., 10.), (10., 5.)), _LEFT_OUT, zero_translation=True,
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
        for statistic in ('mean', 'std'):
            figures[f'{name}_{statistic}'] = _statistic(errors[averaged], statistic)
    for (degrees, metres), inside in zip(protocol.thresholds, within):
        figures[f'recall_{degrees:g}deg_{metres:g}m'] = float(inside.mean())
    return figures


def is_translation_free(rigid_transform: np.ndarray, lidar2cam: np.ndarray | None = None,
                        tolerance: float = 1e-3) -> bool:
    """Return whether a random transform only rotates the scan, about the LiDAR or a camera.

    Args:
        rigid_transform: (4, 4) random transform, ``p' = rigid_transform @ p``.
        lidar2cam: (V, 4, 4) extrinsics after the transform.
        tolerance: Largest translation in metres.
    """
    if np.abs(rigid_transform[:3, 3]).max() < tolerance:
        return True
    if lidar2cam is None:
        return False
    in_camera = lidar2cam @ rigid_transform @ np.linalg.inv(lidar2cam)  # in camera coordinates
    return bool((np.abs(in_camera[:, :3, 3]).max(1) < tolerance).any())


def _statistic(values: np.ndarray, statistic: str) -> float:
    return float(getattr(np, statistic)(values)) if len(values) else float('nan')
