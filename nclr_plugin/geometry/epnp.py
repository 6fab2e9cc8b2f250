"""The closed form of EPnP (Lepetit et al., IJCV 2009) on principal axes.

The control points are the centroid and the ends of the principal axes, one standard deviation
long. In that basis the points' second moment is the identity, so the control points' x and y in
the camera follow from their depths, and the usual 12 x 12 kernel problem is one of 4 x 4.
"""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

from .reprojection import PnPProblem, second_moments

# Thinner than this (third over first standard deviation), points are taken as a plane for the
# start: the third axis is then noise, and its control point would be free.
_PLANAR_RATIO = 0.02
# Products of betas b_k b_l, and which of them each assumed kernel dimension takes as unknowns
# (six equations allow no more than six).
_PRODUCTS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
_UNKNOWNS = ((1, 0, 0, 0, 0, 0), (1, 1, 0, 1, 0, 0), (1, 1, 1, 1, 1, 1))
_BETA_STEPS = 2


def closed_form_pose(problem: PnPProblem, axes: Tensor,
                     deviations: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the EPnP pose with the least algebraic error among those of three kernel sizes.

    Args:
        problem: B problems, their weights summing to one.
        axes: Principal axes in columns, (B, 3, 3), longest first, right-handed.
        deviations: Standard deviations along them, (B, 3).

    Returns:
        R (B, 3, 3) and t (B, 3), normalised units.
    """
    kernel, deviations, moments = _kernel(problem, axes, deviations)
    betas = _betas(kernel[..., 1:], deviations)
    control = (betas @ kernel.flatten(2)).unflatten(2, (3, 4))
    control = torch.where(control[:, :, 2:, :1] < 0, -control, control)
    first = torch.nn.functional.normalize(control[..., 1], dim=-1)
    second = control[..., 2] - (control[..., 2] * first).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    third = torch.linalg.cross(first, second)
    directions = torch.stack([first, second, third], dim=-1)
    pose = torch.cat([control[..., :1], directions * deviations[:, None, None]], dim=-1)
    best = _algebraic_error(moments, problem.focal[:, None] @ pose).argmin(1)
    row = torch.arange(len(best), device=best.device)
    return directions[row, best] @ axes.transpose(1, 2), control[row, best, :, 0]


def _kernel(problem: PnPProblem, axes: Tensor,
            deviations: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Return kernel vectors, deviations and moments.

    The four kernel vectors are control points in the camera (B, 4, 3, 4), most likely first: column
    0 the centroid, the others the axes. The third deviation is zero for planar samples. The moments
    are those of u, v and u^2 + v^2 in the basis of the control points, (B, 3, 4, 4).
    """
    planar = deviations[:, 2] < _PLANAR_RATIO * deviations[:, 0]
    flat = torch.stack([torch.zeros_like(planar), torch.zeros_like(planar), planar], dim=1)
    inverse = torch.where(flat, torch.zeros_like(deviations), 1 / deviations)
    change = axes.new_zeros(len(axes), 4, 4)  # to that basis
    change[:, 0, 0] = 1
    change[:, 1:, 1:] = (axes * inverse[:, None]).transpose(1, 2)

    # The algebraic error sum w |h_xy - u h_z|^2, in pixels times depth.
    pixels = problem.pixels
    scalars = torch.cat([pixels, (pixels * pixels).sum(1, keepdim=True)], dim=1)
    moments = second_moments(scalars * problem.weights[:, None], problem)
    moments = change[:, None] @ moments @ change[:, None].transpose(-1, -2)
    Mu, Mv, Mr = moments.unbind(1)
    cost = Mr - Mu @ Mu - Mv @ Mv  # of the control points' depths
    trace = cost.diagonal(dim1=1, dim2=2).sum(-1)
    cost[:, 3, 3] += torch.where(planar, 10 * trace + 1, torch.zeros_like(trace))
    depths = torch.linalg.eigh(cost)[1]
    control = torch.stack([Mu @ depths, Mv @ depths, depths], dim=1)  # (B, 3, 4 control, 4 kernel)
    # From pixels to rays. F is triangular, and batches of general inverses fail on some GPUs.
    x, y, z = control.unbind(1)
    fx, skewness, fy = (problem.focal[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    y = y / fy
    control = torch.stack([(x - skewness * y) / fx, y, z], dim=1)
    deviations = torch.where(flat, torch.zeros_like(deviations), deviations)
    return control.permute(0, 3, 1, 2), deviations, moments


def _betas(vectors: Tensor, deviations: Tensor) -> Tensor:
    """Combine the kernel vectors so that the axes are orthogonal and keep their lengths.

    Args:
        vectors: The axes of each kernel vector, (B, 4, 3, 3).
        deviations: (B, 3).

    Returns:
        (B, 3, 4): one row for each assumed kernel dimension 1 to 3.
    """
    batch = len(vectors)
    # Six equations beta' form beta = target: the Gram matrix of the three axes.
    flat = vectors.transpose(2, 3).flatten(1, 2)  # (B, 4 kernel x 3 axes, 3)
    gram = (flat @ flat.transpose(1, 2)).view(batch, 4, 3, 4, 3).permute(0, 2, 4, 1, 3)
    i, j = torch.triu_indices(3, 3, device=vectors.device)
    form = gram[:, i, j]
    form = (form + form.transpose(-1, -2)) / 2  # (B, 6, 4, 4)
    target = torch.diag_embed(deviations**2)[:, i, j]

    row, column = torch.tensor(_PRODUCTS, device=vectors.device).T
    unknown = torch.tensor(_UNKNOWNS, dtype=form.dtype, device=vectors.device)
    linear = form[:, :, row, column] * torch.where(row == column, 1., 2.).to(form)
    products = _least_squares(linear[:, None] * unknown[:, None], target[:, None])
    first = products[..., :1]
    betas = products[..., :3] * first.sign() / first.abs().clamp(min=1e-12).sqrt()
    betas = torch.nn.functional.pad(betas, (0, 1))  # the refinement finds the last

    form = form.flatten(1, 2)
    for _ in range(_BETA_STEPS):
        applied = (form @ betas.transpose(1, 2)).unflatten(1, (6, 4)).permute(0, 3, 1, 2)
        miss = (applied @ betas[..., None])[..., 0] - target[:, None]
        betas = betas - _least_squares(2 * applied, miss)
    return betas


def _least_squares(A: Tensor, b: Tensor) -> Tensor:
    """``argmin |A x - b|`` by lightly damped normal equations; A (..., M, K), b (..., M)."""
    normal = A.transpose(-1, -2) @ A
    diagonal = normal.diagonal(dim1=-1, dim2=-2)
    diagonal += 1e-9 * diagonal.amax(-1, keepdim=True) + 1e-300
    factor, _ = torch.linalg.cholesky_ex(normal)
    return torch.cholesky_solve(A.transpose(-1, -2) @ b[..., None], factor)[..., 0]


def _algebraic_error(moments: Tensor, pose: Tensor) -> Tensor:
    """Mean squares (B, C) of the reprojection errors of candidates (B, C, 3, 4), weighted with
    the squared depths, for which the moments suffice: ``sum w |h_xy - u h_z|^2 / sum w h_z^2``.
    Infinite where the centroid lies behind the camera."""
    x, y, z = pose.unbind(2)
    Mu, Mv, Mr = moments.unbind(1)
    square = (x * x + y * y + ((z @ Mr) - 2 * (x @ Mu) - 2 * (y @ Mv)) * z).sum(-1)
    return torch.where(z[..., 0] > 0, square / (z * z).sum(-1), torch.inf)
