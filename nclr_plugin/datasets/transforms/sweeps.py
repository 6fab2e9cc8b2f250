"""Sweeps of a moving vehicle gathered in the frame of one of them."""
from __future__ import annotations

import numpy as np
import torch
from mmengine.registry import TRANSFORMS

from nclr_plugin.geometry.se3 import transform_points

from ..scans import read_scan
from .base import BaseTransform


@TRANSFORMS.register_module()
class AccumulateSweeps(BaseTransform):
    """Append the points of a frame's sweeps to its scan, where they are without its motion.

    After :class:`LoadScan`, whose columns are kept. The sweeps, and where they were taken
    (``sweep2lidar``, from the ego poses), are the reader's choice:
    :class:`~nclr_plugin.datasets.NuScenesReader` with ``num_sweeps``. What moves by itself is
    smeared.

    Args:
        min_distance: Points of a sweep whose x and y are both nearer to zero than this, metres,
            are left out: they are on the vehicle, which would leave a trail. Those of the scan
            stay.

    Raises:
        BrokenFrameError: If a sweep cannot be used, see :class:`LoadScan`.
        ValueError: If the frame has no list of sweeps, because its reader knows none.
    """

    def __init__(self, min_distance: float = 1.) -> None:
        if min_distance < 0:
            raise ValueError(
                f'AccumulateSweeps: expected min_distance >= 0, found {min_distance}.')
        self.min_distance = min_distance

    def transform(self, results: dict) -> dict:
        """Extend ``points``; see the class."""
        if 'sweeps' not in results:
            raise ValueError(f"AccumulateSweeps: frame {results['frame_id']}: expected a list of "
                             'sweeps, found none; its reader is to be NuScenesReader.')
        clouds = [results['points']]
        for sweep in results['sweeps']:
            points = read_scan({**results, 'lidar_path': sweep['lidar_path']},
                               clouds[0].shape[1])
            on_vehicle = (np.abs(points[:, :2]) < self.min_distance).all(axis=1)
            points = points.take(np.flatnonzero(~on_vehicle), axis=0)
            points[:, :3] = transform_points(
                torch.from_numpy(sweep['sweep2lidar']),
                torch.from_numpy(points[:, :3]).double()).numpy()
            clouds.append(points)
        results['points'] = np.concatenate(clouds)
        return results
