"""The closed form of EPnP (Lepetit et al., IJCV 2009) on principal axes.

The control points are the centroid and the ends of the principal axes, one standard deviation
long. In that basis the points' second moment is the identity, so the control points' x and y in
the camera follow from their depths, and the usual 12 x 12 kernel problem is one of 4 x 4.
"""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

from .reprojection import MIN_DEPTH, PnPProblem

# Thinner than this (third over first standard deviation), points are taken as a plane for the
# start: the third axis is then noise, and its control point would be free.
_PLANAR_RATIO = 0.02
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def closed_form_pose(problem: PnPProblem, axes: Tensor, deviations: Tensor) -> Tuple[Tensor, Tensor]:
    """The EPnP pose with the least reprojection error among those of the four kernel sizes.

    Args:
        problem: B problems, their weights summing to one.
        axes: Principal axes in columns, (B, 3, 3), longest first, right-handed.
        deviations: Standard deviations along them, (B, 3).

    Returns:
        tuple: R (B, 3, 3) and t (B, 3), normalised units.
    """
    kernel, deviations = _kernel(problem, axes, deviations)
    betas = _betas(kernel[..., 1:], deviations)
    control = torch.einsum('bck,bkij->bcij', betas, kernel)
    control = torch.where(control[:, :, 2:, :1] < 0, -control, control)
    first = torch.nn.functional.normalize(control[..., 1], dim=-1)
    second = control[..., 2] - (control[..., 2] * first).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    third = torch.cross(first, second, dim=-1)
    R = torch.stack([first, second, third], dim=-1) @ axes[:, None].transpose(-1, -2)
    t = control[..., 0]
    best = _reprojection_cost(problem, R, t).argmin(1)
    row = torch.arange(len(best), device=best.device)
    return R[row, best], t[row, best]


def _kernel(problem: PnPProblem, axes: Tensor, deviations: Tensor) -> Tuple[Tensor, Tensor]:
    """The four candidates for the control points in the camera, (B, 4, 3, 4): column 0 the
    centroid, the others the axes; most likely first. Planar samples get a third deviation of
    zero."""
    planar = deviations[:, 2] < _PLANAR_RATIO * deviations[:, 0]
    flat = torch.stack([torch.zeros_like(planar), torch.zeros_like(planar), planar], dim=1)
    inverse = torch.where(flat, torch.zeros_like(deviations), 1 / deviations)
    alphas = (axes * inverse[:, None]).transpose(1, 2) @ problem.points
    alphas = torch.cat([torch.ones_like(alphas[:, :1]), alphas], dim=1)  # (B, 4, N)

    x, y = problem.rays.unbind(1)
    factors = torch.stack([x, y, x * x + y * y], dim=1) * problem.weights[:, None]
    moments = (factors[:, :, None] * alphas[:, None]).flatten(1, 2) @ alphas.transpose(1, 2)
    Mx, My, Mr = moments.view(-1, 3, 4, 4).unbind(1)
    cost = Mr - Mx @ Mx - My @ My  # of the control points' depths
    trace = cost.diagonal(dim1=1, dim2=2).sum(-1)
    cost[:, 3, 3] += torch.where(planar, 10 * trace + 1, torch.zeros_like(trace))
    depths = torch.linalg.eigh(cost)[1]
    control = torch.stack([Mx @ depths, My @ depths, depths], dim=1)  # (B, 3, 4 control, 4 kernel)
    return control.permute(0, 3, 1, 2), torch.where(flat, torch.zeros_like(deviations), deviations)


def _betas(vectors: Tensor, deviations: Tensor) -> Tensor:
    """Combinations of the kernel vectors that keep the axes orthogonal and of their lengths.

    Args:
        vectors: The axes of each kernel vector, (B, 4, 3, 3).
        deviations: (B, 3).

    Returns:
        Tensor: (B, 4, 4): one row for each assumed kernel dimension 1 to 4.
    """
    gram = torch.einsum('bkdi,bldj->bijkl', vectors, vectors)
    form = torch.stack([gram[:, i, j] + gram[:, j, i] for i, j in _PAIRS], dim=1) / 2
    square = deviations**2
    zero = torch.zeros_like(square[:, 0])
    target = torch.stack([square[:, 0], zero, zero, square[:, 1], zero, square[:, 2]], dim=1)

    def lengths(pairs):
        columns = torch.stack(
            [form[:, :, k, l] * (1 if k == l else 2) for k, l in pairs], dim=-1)
        return _least_squares(columns, target)

    betas = zero.new_zeros(len(zero), 4, 4)
    betas[:, 0, :1] = lengths([(0, 0)]).abs().sqrt()
    b11, b12, b22 = lengths([(0, 0), (0, 1), (1, 1)]).unbind(1)
    betas[:, 1, 0] = b11.abs().sqrt()
    betas[:, 1, 1] = b22.abs().sqrt() * torch.where(b12 * b11 < 0, -1., 1.)
    for size, pairs in ((3, [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]),
                        (4, [(0, 0), (0, 1), (0, 2), (0, 3)])):
        products = lengths(pairs)[:, :size]
        first = products[:, :1].abs().clamp(min=1e-12).sqrt()
        betas[:, size - 1, :size] = products * products[:, :1].sign() / first
        betas[:, size - 1, :1] = first

    for _ in range(5):
        applied = torch.einsum('bpkl,bcl->bcpk', form, betas)
        miss = (applied * betas[:, :, None]).sum(-1) - target[:, None]
        betas = betas - _least_squares(2 * applied, miss)
    return betas


def _least_squares(A: Tensor, b: Tensor) -> Tensor:
    """``argmin |A x - b|`` by lightly damped normal equations; A (..., M, K), b (..., M)."""
    normal = A.transpose(-1, -2) @ A
    diagonal = normal.diagonal(dim1=-1, dim2=-2)
    floor = 1e-9 * diagonal.amax(-1, keepdim=True).clamp(min=1e-300)
    normal = normal + torch.diag_embed(floor.expand_as(diagonal))
    factor, _ = torch.linalg.cholesky_ex(normal)
    return torch.cholesky_solve(A.transpose(-1, -2) @ b[..., None], factor)[..., 0]


def _reprojection_cost(problem: PnPProblem, R: Tensor, t: Tensor) -> Tensor:
    """Weighted squared pixels (B, C) of candidate poses R (B, C, 3, 3), t (B, C, 3); infinite
    where a point lies behind the camera."""
    points = (R.flatten(1, 2) @ problem.points).unflatten(1, (-1, 3)) + t[..., None]
    depth = points[:, :, 2]
    ahead = ((depth > MIN_DEPTH) | (problem.weights == 0)[:, None]).all(-1)
    error = points[:, :, :2] / depth[:, :, None] - problem.rays[:, None]
    pull = problem.metric[:, None] @ error
    cost = ((pull * error).sum(2) @ problem.weights[..., None])[..., 0]
    return torch.where(ahead & cost.isfinite(), cost, torch.inf)
