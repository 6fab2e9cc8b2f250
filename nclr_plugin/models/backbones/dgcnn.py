"""DGCNN: edge convolutions on graphs of nearest neighbours (Wang et al., TOG 2019)."""
from __future__ import annotations

from typing import Sequence

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ...utils import devices
from ...utils.devices import constant
from ...utils.optional import optional_import
from ..layers.batching import dense_batch

DISTANCES_AT_ONCE = 2**25  # entries of a distance matrix
COORDINATE_SCALE = 10.  # metres, unit of the coordinates in the input
TREE_DIMENSIONS = 3  # up to which a tree is many times faster than all distances


class EdgeConv(nn.Module):
    """``x_i' = act(norm(max_j W [x_i, x_j - x_i]))`` over the neighbours j of i.

    The linear map of an edge is split into one part for each end, so no feature per edge is stored;
    the maximum is taken over the neighbours' part. DGCNN normalises and activates the edges before
    the maximum, which is the same where the scale of the norm is positive. LayerNorm replaces
    BatchNorm, whose statistics would be those of the one scan of a step.

    Computed in float32 also under autocast: an edge is the difference of two nearly equal ends (in
    the first layer coordinates), which half precision would cancel out.

    Args:
        in_channels: Channels of the input points.
        out_channels: Channels of the output points.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.centre = nn.Linear(in_channels, out_channels)
        self.edge = nn.Linear(in_channels, out_channels, bias=False)
        self.norm = nn.LayerNorm(out_channels)
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, feats: Tensor, neighbours: Tensor) -> Tensor:
        """Convolve features (N, C) over the neighbours (N, k), row indices: (N, C')."""
        with torch.autocast(feats.device.type, enabled=False):
            feats = feats.float()
            part = self.edge(feats)
            # Without the (N, k, C') of a maximum over rows, in half its time.
            largest = nn.functional.embedding_bag(neighbours, part, mode='max')
            return self.activation(self.norm(self.centre(feats) + largest - part))


@MODELS.register_module()
class DGCNN(BaseModule):
    """Per-point features on a graph of nearest neighbours in the feature space of each layer.

    Args:
        in_channels: Channels of the points' values, x, y, z first.
        channels: Channels of the edge convolutions.
        out_channels: Channels of the result, which joins all layers.
        k: Neighbours of a point, including itself.
        dynamic: Find neighbours in feature space from the second layer on, as in DGCNN. ``False``:
            use the graph of the coordinates in every layer, which makes a step on a CPU many times
            faster.
        dilations: Dilation d of each layer: every d-th of the k d nearest points is a neighbour (Li
            et al., DeepGCNs, ICCV 2019), so few layers see far. ``None``: 1 everywhere.

    Raises:
        ValueError: If there is no layer, no neighbour, or not one dilation per layer.
    """

    def __init__(self,
                 in_channels: int = 4,
                 channels: Sequence[int] = (64, 64, 128, 256),
                 out_channels: int = 128,
                 k: int = 20,
                 dynamic: bool = True,
                 dilations: Sequence[int] | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not channels or k < 1:
            raise ValueError(f'DGCNN: expected at least one layer and one neighbour, found '
                             f'channels={channels}, k={k}.')
        dilations = tuple(dilations or [1] * len(channels))
        if len(dilations) != len(channels) or min(dilations) < 1:
            raise ValueError(f'DGCNN: expected a dilation >= 1 for each of {len(channels)} layers, '
                             f'found {dilations}.')
        widths = [in_channels, *channels]
        self.layers = nn.ModuleList(
            EdgeConv(before, after) for before, after in zip(widths[:-1], widths[1:]))
        self.out = nn.Linear(sum(channels), out_channels)
        self.norm = nn.LayerNorm(out_channels)
        self.ranks = [range(0, k * dilation, dilation) for dilation in dilations]
        self.dynamic = dynamic
        self.out_channels = out_channels

    def graph(self, points: Tensor, batch_index: Tensor, batch_size: int) -> Tensor:
        """Return the neighbours (L, N, k), row indices, of each layer; if dynamic, of the first."""
        ranks = self.ranks[:1] if self.dynamic else self.ranks
        rows = nearest_neighbours(points, batch_index, batch_size, sum(map(list, ranks), []))
        return rows.unflatten(1, (len(ranks), -1)).transpose(0, 1)

    def forward(self, feats: Tensor, batch_index: Tensor, batch_size: int,
                graph: Tensor) -> Tensor:
        """Return the features of the points of several scans.

        Args:
            feats: (N, C), x, y, z in metres relative to the centre of the scan, then the rest.
            batch_index: (N,) the scan of each.
            batch_size: Number of scans.
            graph: Result of :meth:`graph`; it also serves a rotated or scaled copy of the points.

        Returns:
            (N, out_channels).
        """
        feats = torch.cat((feats[:, :3] / COORDINATE_SCALE, feats[:, 3:]), 1)
        outputs = []
        for number, layer in enumerate(self.layers):
            if number and self.dynamic:
                neighbours = nearest_neighbours(feats, batch_index, batch_size, self.ranks[number])
            else:
                neighbours = graph[number]
            feats = layer(feats, neighbours)
            outputs.append(feats)
        return nn.functional.leaky_relu(self.norm(self.out(torch.cat(outputs, 1))), 0.2)


@torch.no_grad()
def nearest_neighbours(feats: Tensor, batch_index: Tensor, batch_size: int,
                       ranks: Sequence[int]) -> Tensor:
    """Find the nearest points of the same scan.

    In a scan with fewer points, the ranks start again from the nearest.

    Args:
        feats: (N, C), in any order.
        batch_index: (N,) the scan of each.
        batch_size: Number of scans.
        ranks: Ranks of the neighbours to return, by distance: 0 is the point itself.

    Returns:
        (N, len(ranks)) int64, row indices.
    """
    padding = dense_batch(batch_index, batch_size)
    rows = padding.to_dense(torch.arange(len(feats), device=feats.device))
    padded = padding.to_dense(feats.float())
    find = _by_tree if devices.on_host(feats) and feats.shape[1] <= TREE_DIMENSIONS else _nearest
    # (B, R): in a scan with fewer points, the ranks start again from the nearest.
    own_ranks = constant(tuple(ranks), torch.int64, feats.device) % padding.mask.sum(
        1, keepdim=True)
    count = min(max(ranks) + 1, padded.shape[1])
    slots = torch.stack([find(*scan, count) for scan in zip(padded, padding.mask, own_ranks)])
    neighbours = rows.gather(1, slots.flatten(1)).view_as(slots)
    return padding.from_dense(neighbours)


def _by_tree(points: Tensor, mask: Tensor, ranks: Tensor, count: int) -> Tensor:
    """See :func:`_nearest`; on a CPU, in few dimensions."""
    spatial = optional_import('scipy.spatial', 'scipy', 'A graph of nearest neighbours')
    valid_points = points[mask].numpy()
    _, idx = spatial.cKDTree(valid_points).query(valid_points, ranks.numpy() + 1)
    return nn.functional.pad(torch.from_numpy(idx), (0, 0, 0, len(points) - len(valid_points)))


def _nearest(points: Tensor, mask: Tensor, ranks: Tensor, count: int) -> Tensor:
    """Return for each of (L, C) points the rows (L, R) of its neighbours of these ranks (R,).

    Ranks are smaller than ``count``. Points outside the mask (L,), which come last, are no
    neighbours.
    """
    # Squared distances without |a|^2, which keeps the order; half precision would be off by metres.
    with torch.autocast(points.device.type, enabled=False):
        square = points.square().sum(1).masked_fill(~mask, torch.inf)
        return torch.cat([
            torch.addmm(square, part, points.T, alpha=-2).topk(
                count, largest=False).indices.index_select(1, ranks)
            for part in points.split(max(1, DISTANCES_AT_ONCE // len(points)))])
