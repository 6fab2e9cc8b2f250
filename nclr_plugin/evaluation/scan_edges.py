"""Edges of depth and reflectance between neighbouring points of a scan, as a camera sees them."""
from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ..geometry.camera import project_points
from ..utils.optional import optional_import
from .photometric_consistency import MIN_DEPTH, MIN_DIFFERENT, ranks

NUM_CANDIDATES = 24  # nearest points among which the neighbour to the right and below is found
MAX_ANGLE_DEG = 2.5  # between neighbours; rings of coarse sensors are that far apart
JUMP_RATIO = 1.1  # of the ranges of neighbours on different surfaces, and to that of a plane
HIDDEN_RATIO, HIDDEN_M = 1.1, 0.3  # a point is hidden by points nearer by both
HIDDEN_RINGS = 2  # cells on each side in which points hide a point


class ScanEdges(NamedTuple):
    """Pairs of neighbouring points.

    A pair represents the place between its points; at a jump of depth, the rim of the nearer
    surface.

    Attributes:
        points: (M, 3), LiDAR frame, metres.
        direction: (M, 2) unit vector in the image from one point of the pair to the other.
        vertical: (M,) bool, pairs one above the other; the others are side by side.
        jump: (M,) bool, pairs across a jump of depth.
        plane: (M,) bool, pairs as far apart as across a jump, but on a plane seen at a flat angle,
            like a street far away.
        difference: (M,) rank of the difference of intensities among the pairs that are as near to
            each other, 0..1; 0 at jumps and where intensities hardly differ.
        distance: (M,) angle between the points, radians.
    """
    points: np.ndarray
    direction: np.ndarray
    vertical: np.ndarray
    jump: np.ndarray
    plane: np.ndarray
    difference: np.ndarray
    distance: np.ndarray

    def select(self, idx: np.ndarray) -> ScanEdges:
        """Return the pairs of an index or a mask."""
        return ScanEdges(*(value[idx] for value in self))


class EdgeFinder:
    """Find pairs of neighbouring points once, then select those that a camera sees under a pose.

    Args:
        points: (N, 4) x, y, z, intensity; LiDAR frame, metres, all of them measurements.
        lidar2cam: (4, 4), about the pose of the camera.
        cam2img: (3, 3).
        size: (width, height) of the image.
        margin: Pixels about the image in which points count, too.
    """

    def __init__(self, points: np.ndarray, lidar2cam: np.ndarray, cam2img: np.ndarray,
                 size: tuple[int, int], margin: float) -> None:
        self.cam2img, self.size, self.margin = cam2img, size, margin
        self.points = np.asarray(points, np.float64)
        self.points = self.points[self._inside(*self._project(lidar2cam))]
        self.has_intensity = False
        self._pair(lidar2cam)

    def visible(self, lidar2cam: np.ndarray) -> ScanEdges:
        """Return the pairs that a camera at a pose (4, 4) sees, in or near its image.

        Points that project between nearer ones are hidden: the LiDAR sees past what is nearer, the
        camera does not. A jump needs its nearer point to be visible, other pairs need both.
        """
        pixels, depth = self._project(lidar2cam)
        visible = self._inside(pixels, depth)
        visible[visible] = ~self._hidden(pixels[visible], depth[visible])
        first, second = self.pairs
        mask = np.where(self.edges.jump, visible[self.nearer], visible[first] & visible[second])
        return self.edges.select(mask)

    def _project(self, lidar2cam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return project_points(self.points[:, :3], np.asarray(lidar2cam, np.float64), self.cam2img)

    def _inside(self, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
        return ((depth > MIN_DEPTH) & (pixels > -self.margin).all(1)
                & (pixels < np.add(self.size, self.margin)).all(1))

    def _pair(self, lidar2cam: np.ndarray) -> None:
        """Pair each point with the next one to the right and with the next one below."""
        spatial = optional_import('scipy.spatial', 'scipy', 'Comparing image and scan')
        ranges = np.linalg.norm(self.points[:, :3], axis=1)
        rays = self.points[:, :3] / ranges[:, None] @ lidar2cam[:3, :3].T
        angles = np.stack((np.arctan2(rays[:, 0], rays[:, 2]),
                           np.arcsin(rays[:, 1].clip(-1, 1))), 1)
        pairs = [np.zeros((2, 0), int)] * 2
        if len(angles) > NUM_CANDIDATES:
            neighbour = spatial.cKDTree(angles).query(angles, NUM_CANDIDATES + 1)[1]
            step = angles[neighbour] - angles[:, None]
            pairs = [_first(neighbour, (step[..., axis] > 0)
                            & (step[..., axis] >= np.abs(step[..., 1 - axis]))) for axis in (0, 1)]
        vertical = np.repeat((False, True), [pair.shape[1] for pair in pairs])
        first, second = np.concatenate(pairs, 1)
        direction = angles[second] - angles[first]
        distance = np.linalg.norm(direction, axis=1)
        near = (distance < np.radians(MAX_ANGLE_DEG)) & (distance > 0)
        first, second, vertical = first[near], second[near], vertical[near]
        direction, distance = direction[near], distance[near]
        ratio = np.log(ranges[second] / ranges[first])
        jump = np.abs(ratio) > np.log(JUMP_RATIO)
        plane = np.zeros_like(jump)
        for axis in (0, 1):
            of_axis = np.flatnonzero(jump & (vertical == bool(axis)))
            plane[of_axis] = _on_plane(angles[:, axis], ranges, pairs[axis], first[of_axis],
                                       second[of_axis])
        jump &= ~plane
        rim = rays[first] + rays[second]
        rim *= (np.where(jump, np.minimum(ranges[first], ranges[second]),
                         (ranges[first] + ranges[second]) / 2)
                / np.linalg.norm(rim, axis=1).clip(min=1e-9))[:, None]
        self.pairs = np.stack((first, second))
        self.nearer = np.where(ratio > 0, first, second)
        # Vertical neighbours are as far apart as the rings of the sensor.
        self.cell_deg = np.degrees(np.median(distance[vertical])) if vertical.any() else 1.
        self.edges = ScanEdges(
            rim @ lidar2cam[:3, :3], direction / distance[:, None], vertical, jump, plane,
            self._difference_rank(first, second, vertical, jump), distance)

    def _difference_rank(self, first: np.ndarray, second: np.ndarray, vertical: np.ndarray,
                         jump: np.ndarray) -> np.ndarray:
        difference = np.abs(self.points[first, 3] - self.points[second, 3])
        rank = np.zeros(len(difference))
        self.has_intensity = bool(len(rank)) and (difference > 0).mean() >= MIN_DIFFERENT
        if self.has_intensity:
            for kind in (vertical, ~vertical):
                mask = kind & ~jump
                rank[mask] = ranks(difference[mask])
        return rank

    def _hidden(self, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Return a mask (N,) of the points with nearer ones on two opposite sides."""
        cell = max(2., np.radians(self.cell_deg) * self.cam2img[0, 0] * 1.2)
        column, row = ((pixels + self.margin) / cell).astype(int).T
        nearest = np.full((row.max(initial=0) + 1, column.max(initial=0) + 1), np.inf, np.float32)
        np.minimum.at(nearest, (row, column), depth)
        sides = []
        for axis in (0, 1):
            kernel = np.zeros((2 * HIDDEN_RINGS + 1, ) * 2, np.uint8)
            line = kernel[HIDDEN_RINGS] if axis else kernel[:, HIDDEN_RINGS]
            line[:HIDDEN_RINGS] = 1
            # The kernel and its mirror image look to opposite sides.
            sides.append(np.maximum(*(
                cv2.erode(nearest, side, borderType=cv2.BORDER_CONSTANT, borderValue=np.inf)
                for side in (kernel, kernel[::-1, ::-1].copy()))))
        return depth > HIDDEN_RATIO * np.minimum(*sides)[row, column] + HIDDEN_M


def _on_plane(angle: np.ndarray, ranges: np.ndarray, pairs: np.ndarray, first: np.ndarray,
              second: np.ndarray) -> np.ndarray:
    """Return which pairs (K,) with a jump are on a plane that is seen at a flat angle.

    On a plane, the inverse range is linear in the angle. The plane goes through the nearer point
    and its neighbour on the other side.

    Args:
        angle: (N,) of the points along the axis of the pairs.
        ranges: (N,).
        pairs: (2, P), each point and the next one along the axis.
        first, second: (K,) points of the pairs with a jump.
    """
    following, previous = np.full((2, len(ranges)), -1)
    following[pairs[0]], previous[pairs[1]] = pairs[1], pairs[0]
    nearer_first = ranges[first] < ranges[second]
    near, far = np.where(nearer_first, (first, second), (second, first))
    other = np.where(nearer_first, previous[near], following[near])
    inverse = 1 / ranges
    with np.errstate(divide='ignore', invalid='ignore'):  # where there is no such neighbour
        slope = (inverse[near] - inverse[other]) / (angle[near] - angle[other])
    expected = inverse[near] + slope * (angle[far] - angle[near])
    # Steps grow with the range; a neighbour that is much nearer is on another surface.
    smooth = inverse[other] / inverse[near] < inverse[near] / inverse[far]
    return (other >= 0) & smooth & (JUMP_RATIO * inverse[far] > expected)


def _first(neighbour: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return pairs (2, K) of each point and the first of its neighbours in a mask, both (N, C)."""
    point = np.flatnonzero(mask.any(1))
    return np.stack((point, neighbour[point, mask[point].argmax(1)]))
