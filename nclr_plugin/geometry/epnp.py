"""The closed form of EPnP (Lepetit et al., IJCV 2009) on principal axes.

The control points are the centroid and the ends of the principal axes, one standard deviation
long. In that basis the points' second moment is the identity, so the control points' x and y in
the camera follow from their depths, and the usual 12 x 12 kernel problem becomes a 4 x 4 one.

The kernel is assumed to have one dimension, as it has from six points on. EPnP also tries two to
four and combines the vectors. That changes nothing here, since a refinement to the
maximum-likelihood pose follows.
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .reprojection import PnPProblem, second_moments

# Below this ratio of the third to the first standard deviation, the start treats points as a plane:
# the third axis is then noise, and its control point would be unconstrained.
_PLANAR_RATIO = 0.02
# The moments are sums in float32: anything below this share of the trace is rounding error.
_SHIFT = 1e-9


def closed_form_pose(problem: PnPProblem, axes: Tensor, deviations: Tensor) -> Tensor:
    """Compute the EPnP pose in closed form.

    Args:
        problem: B problems, their weights summing to one.
        axes: Principal axes in columns, (B, 3, 3), longest first, right-handed.
        deviations: Standard deviations along them, (B, 3).

    Returns:
        ``(t, R)`` (B, 3, 4), normalised units.
    """
    control = _control_points(problem, axes, deviations)
    # The two longest axes give the rotation, and the longest the scale.
    centre, first, second, _ = control.unbind(2)
    length = first.norm(dim=1, keepdim=True).clamp(min=1e-300)
    first = first / length
    second = F.normalize(second - (second * first).sum(1, keepdim=True) * first, dim=1)
    third = torch.linalg.cross(first, second, dim=1)
    R = torch.stack([first, second, third], dim=2) @ axes.transpose(1, 2)
    return torch.cat([(centre * (deviations[:, :1] / length))[..., None], R], dim=2)


def _control_points(problem: PnPProblem, axes: Tensor, deviations: Tensor) -> Tensor:
    """Return the control points in the camera up to scale, (B, 3, 4), the centroid in front.

    Column 0 is the centroid. The others are the axes; the third axis of a planar sample is zero.
    """
    planar = deviations[:, 2] < _PLANAR_RATIO * deviations[:, 0]
    inverse = 1 / deviations
    inverse[:, 2].masked_fill_(planar, 0.)
    change = F.pad((axes * inverse[:, None]).transpose(1, 2), (1, 0, 1, 0))  # to the axes' basis
    change[:, 0, 0] = 1

    # The algebraic error sum w |h_xy - u h_z|^2, in pixels times depth.
    u, v = problem.pixels.unbind(1)
    scalars = torch.stack([u, v, u * u + v * v], dim=1) * problem.weights[:, None]
    moments = change[:, None] @ second_moments(scalars, problem) @ change[:, None].transpose(2, 3)
    mixed = moments[:, :2].flatten(1, 2)
    cost = moments[:, 2] - mixed.transpose(1, 2) @ mixed  # of the control points' depths
    trace = cost.diagonal(dim1=1, dim2=2).sum(1)
    cost[:, 3, 3] += torch.where(planar, 10 * trace + 1, 0.)
    z = _smallest_eigenvector(cost, trace)
    control = torch.cat([mixed @ z, z], dim=1).view(-1, 3, 4)
    return apply_inverse(problem.focal, control)  # from pixels to rays


def _smallest_eigenvector(A: Tensor, trace: Tensor) -> Tensor:
    """Return the smallest eigenvector (B, 4, 1) of a positive semidefinite A (B, 4, 4).

    Its first entry is not negative. The inverse iteration, of four steps, starts from points that
    all have the depth of the centroid.
    """
    diagonal = A.diagonal(dim1=1, dim2=2)
    diagonal += (_SHIFT * trace + 1e-300)[:, None]
    factor = torch.linalg.cholesky_ex(A)[0]
    eye = torch.eye(4, dtype=A.dtype, device=A.device)
    step = torch.cholesky_solve(eye.expand_as(A), factor) * trace[:, None, None]
    steps = step @ step
    z = F.normalize(steps @ steps[..., :1], dim=1)
    return torch.where(z[:, :1] < 0, -z, z)


def apply_inverse(focal: Tensor, h: Tensor) -> Tensor:
    """Multiply (B, 3, N) by the inverses of matrices ``[[a, b, 0], [0, c, 0], [0, 0, 1]]``.

    The inverse is in closed form, because batches of general inverses fail on some GPUs.
    """
    x, y, z = h.unbind(1)
    y = y / focal[:, 1, 1, None]
    x = (x - focal[:, 0, 1, None] * y) / focal[:, 0, 0, None]
    return torch.stack([x, y, z], dim=1)
