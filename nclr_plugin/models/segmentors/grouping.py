"""Grouping of points into instances: mean shift of the predicted centres of their objects."""
from __future__ import annotations

from typing import Sequence

import numpy as np

from ...utils.optional import optional_import

CONVERGED = 1e-3  # share of the bandwidth below which a step counts as converged
MAX_ITERATIONS = 300
CELLS = 2  # cells of the grid along the radius of the ball
MARGIN = 2 * CELLS
CHUNK = 1_000_000  # pairs of a seed and a nearby point per pass


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


def mean_shift(points: np.ndarray, bandwidth: float) -> np.ndarray:
    """Cluster points by the mode to which each one climbs.

    Comaniciu and Meer, "Mean shift: a robust approach toward feature space analysis", PAMI 2002,
    with the conventions and results of scikit-learn's ``MeanShift(bandwidth, bin_seeding=True)``,
    but faster: seeds are the occupied cells of a grid as wide as the bandwidth; of modes closer
    than the bandwidth, the one with most points stays; every point belongs to the nearest mode.

    Args:
        points: (N, 3), metres.
        bandwidth: Radius of the ball, metres.

    Returns:
        (N,) int64: cluster of each point; 0 is the cluster around the densest mode.

    Raises:
        ValueError: If the bandwidth is not positive, or a coordinate is not finite or too large.

    Example:
        >>> mean_shift(np.array([[0., 0, 0], [.1, 0, 0], [9, 0, 0]]), bandwidth=1.)
        array([0, 0, 1])
    """
    points = np.asarray(points, dtype=np.float64)
    if not bandwidth > 0:
        raise ValueError(f'mean_shift: bandwidth: expected a positive number, found {bandwidth}.')
    if not np.isfinite(points).all():
        raise ValueError('mean_shift: points: expected finite coordinates, found NaN or infinity.')
    if len(points) == 0:
        return np.zeros(0, np.int64)
    spatial = optional_import('scipy.spatial', 'scipy', 'Mean shift')
    means, counts = _climb(points, _seeds(points, bandwidth), bandwidth)
    modes = _distinct(means, counts, spatial.cKDTree(means), bandwidth)
    return spatial.cKDTree(modes).query(points)[1].astype(np.int64)


def _seeds(points: np.ndarray, bandwidth: float) -> np.ndarray:
    """Return the centres (S, 3) of the occupied cells; the points if no two share a cell."""
    cells = np.unique(np.round(points / bandwidth), axis=0)
    return points if len(cells) == len(points) else cells * bandwidth


def _climb(points: np.ndarray, seeds: np.ndarray,
           bandwidth: float) -> tuple[np.ndarray, np.ndarray]:
    """Move the seeds to their modes (S', 3), with the number of points at each; drop lost seeds."""
    grid = _Grid(points, bandwidth)
    moving, modes, num_points = seeds, [], []
    for _ in range(MAX_ITERATIONS):
        means, counts = grid.ball_mean(moving)
        step = np.linalg.norm(means - moving, axis=1)
        converged = (step <= CONVERGED * bandwidth) & (counts > 0)
        modes.append(means[converged])
        num_points.append(counts[converged])
        # Seeds that have met share the rest of their path.
        moving = np.unique(means[step > CONVERGED * bandwidth], axis=0)
        if len(moving) == 0:
            break
    else:
        modes.append(moving)
        num_points.append(grid.ball_mean(moving)[1])
    return np.concatenate(modes), np.concatenate(num_points)


def _distinct(means: np.ndarray, counts: np.ndarray, tree, bandwidth: float) -> np.ndarray:
    """Keep modes that are not within the bandwidth of one with more points, densest first."""
    order = np.lexsort((means[:, 2], means[:, 1], means[:, 0], counts))[::-1]
    taken = np.zeros(len(means), bool)
    modes = []
    for k in order:
        if not taken[k]:
            taken[tree.query_ball_point(means[k], bandwidth)] = True
            modes.append(k)
    return means[modes]


class _Grid:
    """Points sorted by cells half as wide as the ball: a ball covers 25 ranges of the order."""

    def __init__(self, points: np.ndarray, radius: float) -> None:
        self.radius = radius
        self.lowest = points.min(axis=0)
        cells = self._cells(points)
        # A margin on each side, so that no range wraps into the next row.
        self.extent = cells.max(axis=0) + 2 * MARGIN + 1
        if np.prod(self.extent.astype(np.float64)) >= 2**63:
            raise ValueError(f'mean_shift: points: expected to lie within thousands of metres of '
                             f'each other, found {np.ptp(points, axis=0)} for a bandwidth of '
                             f'{radius}.')
        keys = self._keys(cells)
        order = np.argsort(keys, kind='stable')
        self.keys = keys[order]
        self.points = np.ascontiguousarray(points[order].T)  # axis by axis, contiguous in memory

    def ball_mean(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean (S, 3) and number (S,) of the points within the radius of places (S, 3).

        A place without points keeps its position.
        """
        begin, end = self._ranges(places)
        total = np.zeros((len(places), 4))
        pairs = np.cumsum((end - begin).sum(axis=1))
        bounds = np.searchsorted(pairs, np.arange(CHUNK, pairs[-1] + CHUNK, CHUNK)) + 1
        start = 0
        for stop in np.minimum(bounds, len(places)):
            part = slice(start, stop)
            total[part] = self._ball_sum(places[part], begin[part], end[part])
            start = stop
        number = total[:, 3]
        mean = np.where(number[:, None] > 0, total[:, :3] / np.maximum(number, 1)[:, None], places)
        return mean, number.astype(np.int64)

    def _ball_sum(self, places: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return the sum of coordinates and the number, (S, 4), of the points in the radius."""
        length = (end - begin).ravel()
        owner = np.repeat(np.arange(len(places)), (end - begin).sum(axis=1))
        shift = begin.ravel() - (np.cumsum(length) - length)
        row = np.arange(len(owner)) + np.repeat(shift, length)
        square = np.zeros(len(owner))
        for axis in range(3):
            difference = self.points[axis][row]
            difference -= places[:, axis][owner]
            square += np.square(difference, out=difference)
        inside = square <= self.radius**2
        row, owner = row[inside], owner[inside]
        columns = [np.bincount(owner, axis[row], len(places)) for axis in self.points]
        return np.stack([*columns, np.bincount(owner, minlength=len(places))], axis=1)

    def _ranges(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the ranges (S, 25), begin and end, of the sorted points around places."""
        across = np.arange(-CELLS, CELLS + 1)
        across = np.stack(np.meshgrid(across, across), axis=-1).reshape(-1, 2)
        column = self._cells(places)[:, None] + np.pad(across, ((0, 0), (0, 1)))
        below, above = self._keys(column - (0, 0, CELLS)), self._keys(column + (0, 0, CELLS))
        return (np.searchsorted(self.keys, below, side='left'),
                np.searchsorted(self.keys, above, side='right'))

    def _cells(self, places: np.ndarray) -> np.ndarray:
        return np.floor((places - self.lowest) * (CELLS / self.radius)).astype(np.int64)

    def _keys(self, cells: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(cells + MARGIN, -1, 0)
        return (x * self.extent[1] + y) * self.extent[2] + z
