"""Edge alignment of an image and a scan, for many poses, without a network.

The scores of a pose add up over frames. Pose search, checks and tables all use them.
"""
from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ..datasets.scans import drop_invalid_rows
from ..geometry.camera import project_points
from .photometric_consistency import MIN_DEPTH, reduce_image, residuals
from .scan_edges import EdgeFinder, ScanEdges

NUM_DIRECTIONS = 8  # of gradients, over half a turn
LOCAL_SIGMA = 20.  # pixels about which gradients are compared with their mean
FLOOR = 0.3  # share of the mean gradient of the image that is added to the local mean
LOG_FLOOR = 0.05  # squared relative gradient below which differences do not count
MIN_DIFFERENCE = 0.5  # rank above which a difference of intensity counts, with its square
REFLECTANCE_WEIGHT = 0.7  # relative to jumps of depth
# Blur in pixels above which streets far away count as jumps of depth: images have more edges there,
# which shows poses that are degrees off, but pulls others up by 0.1 deg.
SHARP = 1.
POINTS_AT_ONCE = 100_000  # which a processor's cache can hold


class EdgeAlignment:
    """An image and a scan, prepared to be compared under many poses about one.

    Args:
        image: RGB, (H, W, 3) uint8.
        points: (N, 4) x, y, z, intensity; LiDAR frame, metres.
        cam2img: (3, 3).
        lidar2cam: (4, 4), centre of the poses.
        margin_deg: Angle by which poses may differ from it.
        weights: Weights of jumps of depth and of differences of reflectance.
    """

    def __init__(self, image: np.ndarray, points: np.ndarray, cam2img: np.ndarray,
                 lidar2cam: np.ndarray, margin_deg: float,
                 weights: tuple[float, float] = (1., REFLECTANCE_WEIGHT)) -> None:
        self.image, self.cam2img = reduce_image(image, np.asarray(cam2img, np.float64))
        self.height, self.width = self.image.shape[:2]
        points = drop_invalid_rows(np.asarray(points, np.float64), min_points=0)[0]
        margin = min(np.tan(np.radians(margin_deg)) * self.cam2img[0, 0], self.width / 2)
        self.finder = EdgeFinder(points, lidar2cam, self.cam2img, (self.width, self.height),
                                 margin)
        self.weights = weights
        self._colours: np.ndarray | None = None
        self._maps: dict[float, Tensor] = {}

    def about(self, lidar2cam: np.ndarray, sigma: float, size: int,
              num_parts: int = 1) -> PoseScorer:
        """Prepare the comparison of poses near one.

        Args:
            lidar2cam: (4, 4); points that are hidden from there do not count.
            sigma: Blur of the image, pixels of the reduced image: poses may be that far off.
            size: Number of pairs of each kind that are compared at most.
            num_parts: Number of parts of the image that are scored separately.
        """
        edges = self.finder.visible(lidar2cam)
        if sigma > SHARP:
            edges = edges._replace(jump=edges.jump | edges.plane)
        return PoseScorer(self.edge_maps(sigma), edges, self.finder.has_intensity, lidar2cam,
                          self.cam2img, size, num_parts, self.weights)

    def edge_maps(self, sigma: float) -> Tensor:
        """Return the log gradient in each direction (D, H, W), of zero mean and unit variance.

        They are computed once for each blur, in pixels.

        Gradients are of all channels of CIELAB, relative to those nearby, so that trees count no
        more than cars.
        """
        if sigma in self._maps:
            return self._maps[sigma]
        if self._colours is None:
            self._colours = cv2.cvtColor(self.image, cv2.COLOR_RGB2LAB).astype(np.float32)
        colours = cv2.GaussianBlur(self._colours, (0, 0), sigma)
        dx, dy = (cv2.Sobel(colours, cv2.CV_32F, *order, ksize=3) / 8 for order in ((1, 0), (0, 1)))
        tensor = np.stack(((dx * dx).sum(2), (dx * dy).sum(2), (dy * dy).sum(2)), 2)
        tensor = cv2.GaussianBlur(tensor, (0, 0), max(0.7 * sigma, 0.5))
        strength = np.sqrt(tensor[..., 0] + tensor[..., 2])
        local = cv2.GaussianBlur(strength, (0, 0), LOCAL_SIGMA)
        tensor /= (local**2 + (FLOOR * strength.mean())**2 + 1e-9)[..., None]
        angle = np.arange(NUM_DIRECTIONS) * np.pi / NUM_DIRECTIONS
        c, s = np.cos(angle), np.sin(angle)
        along = tensor @ np.stack((c * c, 2 * c * s, s * s)).astype(np.float32)
        maps = torch.from_numpy(along).clamp(min=0).add_(LOG_FLOOR).log_().permute(2, 0, 1)
        self._maps[sigma] = ((maps - maps.mean()) / (maps.std() + 1e-9)).contiguous()
        return self._maps[sigma]


class PoseScorer:
    """Scores of poses for one frame.

    The score of each kind of edge is the mean gradient of the image, across the edge, minus that at
    pairs on one surface, of unit variance if the two are unrelated.

    Args:
        maps: (D, H, W), gradients of the image by direction.
        edges: Pairs of points of the scan.
        has_intensity: Whether their intensities differ.
        lidar2cam: (4, 4), pose that assigns the pairs to the parts of the image.
        cam2img: (3, 3).
        size: Number of pairs of each kind.
        num_parts: Number of interleaved groups of columns of the image, scored separately.
        weights: Weights of jumps of depth and of differences of reflectance.
    """

    def __init__(self, maps: Tensor, edges: ScanEdges, has_intensity: bool,
                 lidar2cam: np.ndarray, cam2img: np.ndarray, size: int, num_parts: int,
                 weights: tuple[float, float]) -> None:
        self.height, self.width = maps.shape[1:]
        # Pixels outside the image lie on a border without a value.
        self.maps = torch.nn.functional.pad(maps, (1, 1, 1, 1), value=torch.nan)
        edges, groups = _sample(edges, size, has_intensity)
        points = torch.from_numpy(edges.points).float()
        self.points = torch.cat([points, points.new_ones(len(points), 1)], 1).T.contiguous()
        self.cam2img = torch.from_numpy(cam2img).double()
        pixels, _ = project_points(edges.points, np.asarray(lidar2cam, np.float64), cam2img)
        weight = sum(part * _contrast(mask, groups[0], edges, pixels[:, 1] / self.height)
                     for part, mask in zip(weights, groups[1:]))
        part = np.floor(pixels[:, 0] / self.width * 2 * num_parts) % num_parts
        self.weight = torch.from_numpy(
            weight[:, None] * (part[:, None] == np.arange(num_parts))).float()
        angle = np.arctan2(edges.direction[:, 1], edges.direction[:, 0])
        direction = np.rint(angle / np.pi * NUM_DIRECTIONS).astype(int) % NUM_DIRECTIONS
        self.offset = torch.from_numpy(direction * self.maps[0].numel()).int()

    def __call__(self, lidar2cam: Tensor) -> Tensor:
        """Return the scores (P, num_parts) of poses (P, 4, 4)."""
        count = self.points.shape[1]
        if not count:
            return torch.zeros(len(lidar2cam), self.weight.shape[1])
        lidar2img = self.cam2img @ lidar2cam[:, :3].double()
        lidar2img[:, :2] += 1.5 * lidar2img[:, 2:]  # to the border's corner, and for rounding
        return torch.cat([self._score(poses) for poses in lidar2img.float().split(
            max(1, POINTS_AT_ONCE // count))])

    def _score(self, lidar2img: Tensor) -> Tensor:
        x, y, z = (lidar2img.flatten(0, 1) @ self.points).unflatten(0, (-1, 3)).unbind(1)
        depth = z.clamp(min=MIN_DEPTH)
        column = x.div_(depth).masked_fill_(z <= MIN_DEPTH, 0).clamp_(0, self.width + 1)
        row = y.div_(depth).clamp_(0, self.height + 1)
        # The nearest pixel will do: many points together move by less.
        idx = row.int().mul_(self.width + 2).add_(column.int()).add_(self.offset)
        value = self.maps.view(-1).index_select(0, idx.flatten()).view_as(idx)
        mask = ~value.isnan()
        value.nan_to_num_(0.)
        mean = value.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        return value @ self.weight - mean * (mask.float() @ self.weight)


def _sample(edges: ScanEdges, size: int,
            has_intensity: bool) -> tuple[ScanEdges, list[np.ndarray]]:
    """Choose pairs: on one surface, across jumps, of different intensities.

    Returns:
        The chosen pairs, and a mask of each kind.
    """
    rng = np.random.default_rng(0)
    surface = ~edges.jump
    contrast = np.where(surface, (edges.difference - MIN_DIFFERENCE).clip(0)**2, 0.)
    selected = [_choose(rng, weight.astype(float), size) for weight in (surface, edges.jump)]
    selected.append(_choose(rng, contrast, size) if has_intensity else np.zeros(0, int))
    kind = np.repeat(np.arange(3), [len(idx) for idx in selected])
    return edges.select(np.concatenate(selected)), [kind == number for number in range(3)]


def _choose(rng: np.random.Generator, weight: np.ndarray, size: int) -> np.ndarray:
    """Return up to ``size`` different indices, drawn by weight."""
    size = min(size, int((weight > 0).sum()))
    return np.sort(rng.choice(len(weight), size, replace=False, p=weight / weight.sum())
                   if size else np.zeros(0, int))


def _contrast(mask: np.ndarray, others: np.ndarray, edges: ScanEdges,
              height: np.ndarray) -> np.ndarray:
    """Return weights (M,) of unit norm that compare the pairs of a mask with others.

    What follows from the height in the image, the kind of neighbour and its distance is left out:
    streets are smooth below and rich in edges above.
    """
    used = mask | others
    weight = np.zeros(len(mask))
    regressors = np.stack((np.ones(len(mask)), height, height**2, edges.vertical,
                           edges.vertical * height, edges.distance), 1)[used]
    if mask.sum() < regressors.shape[1] or others.sum() < regressors.shape[1]:
        return weight
    value, = residuals(regressors, mask[used].astype(float))
    weight[used] = value / max(np.linalg.norm(value), 1e-9)
    return weight
