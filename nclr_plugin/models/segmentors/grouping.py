"""Grouping of points into instances by the predicted centres of their objects."""
from __future__ import annotations

from typing import Sequence

import numpy as np

from .mean_shift import mean_shift


def group_instances(centres: np.ndarray,
                    semantic: np.ndarray,
                    thing_classes: Sequence[int],
                    bandwidth: float = 1.2,
                    min_points: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Cluster the points of thing classes; the majority of a cluster decides its class.

    Paper, section 4.4: mean shift with a bandwidth of 1.2 m and clusters of at least 50 points.

    Args:
        centres: (N, 3), metres: the predicted centre of each point's object.
        semantic: (N,) predicted classes.
        thing_classes: Classes that have instances.
        bandwidth: Bandwidth of the mean shift, metres.
        min_points: Clusters with fewer are no instances.

    Returns:
        Classes (N,) and instances (N,), int64: 1, 2, ... in the order of their density; 0 for
        points of stuff and of clusters that are too small.
    """
    semantic = np.array(semantic, dtype=np.int64)
    instance = np.zeros(len(semantic), np.int64)
    thing = np.isin(semantic, np.asarray(thing_classes, dtype=np.int64))
    if not thing.any():
        return semantic, instance
    cluster = mean_shift(centres[thing], bandwidth)
    num_classes = semantic.max() + 1
    votes = np.bincount(cluster * num_classes + semantic[thing],
                        minlength=(cluster.max() + 1) * num_classes).reshape(-1, num_classes)
    semantic[thing] = votes.argmax(axis=1)[cluster]
    large = votes.sum(axis=1) >= min_points
    instance[thing] = np.where(large, np.cumsum(large), 0)[cluster]
    return semantic, instance
