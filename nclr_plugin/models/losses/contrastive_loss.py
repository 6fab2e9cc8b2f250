"""Contrastive losses: InfoNCE of points and pixels (NCLR), instance discrimination (CrossI2P)."""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ...geometry.camera import CellGrid
from ...geometry.se3 import matmul_exact


class PixelTargets(NamedTuple):
    """Where K points of each view project to, among the L cells of a map.

    Attributes:
        pixels: (V, K, 2), input-image pixels: the projections.
        grid: The cells.
        cell: (V, K) the cell pr(i) nearest to the projection.
        valid: (V, K) bool, points that have a positive.
    """
    pixels: Tensor
    grid: CellGrid
    cell: Tensor
    valid: Tensor


def pixel_targets(pixels: Tensor, grid: CellGrid, valid: Tensor,
                  positive_margin: float = float('inf')) -> PixelTargets:
    """Find the positives of points among the cells of a map.

    Args:
        pixels: (V, K, 2), input-image pixels: the projections under the true pose.
        grid: Cells of the map.
        valid: (V, K) bool, points to use.
        positive_margin: r_p, pixels: a point whose nearest cell centre is farther away has no
            positive.
    """
    cell, distance = grid.nearest(pixels)
    return PixelTargets(pixels, grid, cell, valid & (distance <= positive_margin))


def point_to_pixel_loss(logits: Tensor, targets: PixelTargets, negative_margin: float) -> Tensor:
    r"""Compute Eq. 1: each point against every pixel of the map.

    Pixels nearer than :math:`r_n` to the point's projection, the positive apart, are neither
    positive nor negative.

    Args:
        logits: (V, K, L), similarity over temperature.
        targets: Positives of the points.
        negative_margin: :math:`r_n`, pixels.

    Returns:
        Scalar: the mean over the valid points of a view, then over views. A view without valid
        points adds nothing.
    """
    # The near pixels are a window of the map, which is cheaper than all distances. A projection is
    # up to half a cell from the centre of its cell.
    grid = targets.grid
    cell, inside = grid.window(targets.cell, int(negative_margin / grid.stride + 0.5))
    centres = grid.centres(targets.pixels.dtype, cell.device).view(-1, 2)[cell]
    distance = (centres - targets.pixels[..., None, :]).norm(dim=-1)
    ignored = inside & (distance <= negative_margin) & (cell != targets.cell[..., None])
    logits = logits.scatter_add(2, cell, torch.where(ignored, -torch.inf, 0.).to(logits))
    return _nce(logits, targets.cell, targets.valid)


def pixel_to_point_loss(logits: Tensor, targets: PixelTargets, negative_margin: float,
                        outside: Tensor | None = None) -> Tensor:
    r"""Compute Eq. 1 from the image: pixel pr(i) against the sampled points.

    Args:
        logits: (V, K, K), similarity over temperature: pixels pr(i) in rows, points in columns.
        targets: Positives of the points.
        negative_margin: :math:`r_n`, pixels: nearer points, among them others of the same pixel,
            are not negatives.
        outside: (V, K) bool, points that the camera does not see, which are negatives of every
            pixel; ``None``: there are none.
    """
    pixels, grid, cell, valid = targets
    centres = grid.centres(pixels.dtype, pixels.device).view(-1, 2)[cell]
    ignored = (torch.cdist(centres, pixels) <= negative_margin) | ~valid[:, None]
    if outside is not None:
        ignored = ignored & ~outside[:, None]
    ignored.diagonal(dim1=1, dim2=2).fill_(False)
    positive = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    return _nce(logits.masked_fill(ignored, -torch.inf), positive, valid)


def _nce(logits: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
    loss = F.cross_entropy(logits.flatten(0, 1), positive.flatten(), reduction='none')
    loss = torch.where(valid, loss.view_as(valid), 0.)
    return (loss.sum(-1) / valid.sum(-1).clamp(min=1)).mean()


def instance_loss(first: Tensor, second: Tensor, temperature: float,
                  valid: Tensor | None = None, ignored: Tensor | None = None) -> Tensor:
    r"""Compute CrossI2P's Eq. 1 both ways and Eq. 2: an instance against all others of both sets.

    :math:`l(i) = -\log \frac{\exp(s(a_i, b_i) / \tau)}{\sum_{k \ne i} \exp(s(a_i, a_k) / \tau) +
    \sum_k \exp(s(a_i, b_k) / \tau)}`. With one instance there is no negative, and the loss is zero
    whatever the features are. This happens with the printed form, whose instances are whole scans,
    for a batch of one.

    Args:
        first, second: (V, N, D) the two views of V sets of N instances; normalised here.
        temperature: :math:`\tau`.
        valid: (V, N) bool, True for instances; all by default.
        ignored: (V, N, N) bool, symmetric: pairs that are neither positive nor negative.

    Returns:
        Scalar: the mean over the valid instances; zero without any.
    """
    first, second, valid, ignored = _prepare(first, second, valid, ignored)
    return _mean(_one_way(first, second, temperature, ignored)
                 + _one_way(second, first, temperature, ignored), valid)


def printed_cross_modal_loss(first: Tensor, second: Tensor, temperature: float,
                             valid: Tensor | None = None,
                             ignored: Tensor | None = None) -> Tensor:
    r"""Compute CrossI2P's Eq. 5 and 6 as printed.

    :math:`c(i) = -\log \frac{\exp(s(z_i, h_i) / \tau)}{\sum_k \exp(s(z_i, z_k) / \tau)
    + \sum_{k \ne i} \exp(s(z_i, h_k) / \tau)}`: the denominator has the similarity of an instance
    to itself, a constant :math:`e^{1 / \tau}`, in place of the positive pair's. The loss is no
    cross-entropy (it can be negative); for a single instance it is :math:`(1 - s) / \tau`, pure
    attraction. :func:`instance_loss` exchanges the exceptions of the two sums.

    Args:
        first, second, temperature, valid, ignored: See :func:`instance_loss`.
    """
    first, second, valid, ignored = _prepare(first, second, valid, ignored)
    loss = 0.
    for a, b in ((first, second), (second, first)):
        within = matmul_exact(a, a.transpose(1, 2)) / temperature
        within = within.masked_fill(ignored, float('-inf'))
        across = matmul_exact(b, a.transpose(1, 2)).transpose(1, 2) / temperature
        positive = across.diagonal(dim1=1, dim2=2)
        across = across.masked_fill(ignored | _diagonal(ignored), float('-inf'))
        loss = loss + torch.logsumexp(torch.cat((within, across), -1), -1) - positive
    return _mean(loss, valid)


def _prepare(first: Tensor, second: Tensor, valid: Tensor | None, ignored: Tensor | None):
    first, second = (F.normalize(x.float(), dim=-1) for x in (first, second))
    if valid is None:
        valid = torch.ones(first.shape[:2], dtype=torch.bool, device=first.device)
    if ignored is None:
        ignored = torch.zeros_like(valid)[..., None].expand(-1, -1, first.shape[1])
    # Absent instances are no negatives. The diagonal always stays, so every row is finite.
    ignored = (ignored | ~valid[:, None]) & ~_diagonal(ignored)
    return first, second, valid, ignored


def _one_way(a: Tensor, b: Tensor, temperature: float, ignored: Tensor) -> Tensor:
    """Return Eq. 1 for each instance, (V, N)."""
    within = matmul_exact(a, a.transpose(1, 2)) / temperature
    across = matmul_exact(a, b.transpose(1, 2)) / temperature
    logits = [within.masked_fill(ignored | _diagonal(ignored), float('-inf')),
              across.masked_fill(ignored, float('-inf'))]
    positive = across.diagonal(dim1=1, dim2=2)
    return torch.logsumexp(torch.cat(logits, -1), -1) - positive


def _diagonal(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=torch.bool, device=like.device)


def _mean(loss: Tensor, valid: Tensor) -> Tensor:
    loss = torch.where(valid, loss, torch.zeros_like(loss))
    return loss.sum() / (2 * valid.sum().clamp(min=1))
