"""Replacement of ``mmcv._ext`` for mmcv without compiled operators.

:class:`nclr_plugin.compat.ExtensionFinder` loads it under the name ``mmcv._ext``. The signatures
are those of the compiled functions, which ``mmcv.ops`` calls: results are written into tensors of
the caller.
"""
from __future__ import annotations

from typing import Any, Callable

from torch import Tensor

from nclr_plugin.compat import operators

REMEDY = ('this mmcv has no compiled operators. Install one with them: `mim install mmcv` finds '
          'wheels for torch up to 2.1, and `bash tools/setup_env.sh --ops` of nclr_plugin compiles '
          'it once for other releases')


def __getattr__(name: str) -> Callable:
    """Return a function that raises, for an operator that is not implemented here.

    Raises:
        AttributeError: If the name begins with an underscore, as names that Python looks up do.
    """
    if name.startswith('_'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

    def missing(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f'mmcv.ops: {name}: {REMEDY}')

    return missing


def _require_cpu(name: str, tensor: Tensor) -> None:
    if tensor.device.type != 'cpu':
        raise NotImplementedError(f'mmcv.ops: {name} on {tensor.device}: {REMEDY}')


def dynamic_voxelize_forward(points: Tensor, voxel_size: Tensor, coors_range: Tensor,
                             coors: Tensor, NDim: int = 3) -> None:
    """Write the voxel (z, y, x) of each point into ``coors`` (N, 3), -1 outside the range."""
    _require_cpu('dynamic_voxelize_forward', points)
    coors.copy_(operators.voxel_of_points(points[:, :NDim], voxel_size, coors_range))


def hard_voxelize_forward(points: Tensor, voxel_size: Tensor, coors_range: Tensor,
                          voxels_out: Tensor, coors: Tensor, num_points_per_voxel: Tensor,
                          voxel_num: Tensor, max_points: int, max_voxels: int, NDim: int = 3,
                          deterministic: bool = True) -> None:
    """Write the first points of the first voxels, in the order of ``points``.

    ``voxels_out`` (max_voxels, max_points, C) is zero where a voxel has fewer points; only the
    first ``voxel_num`` rows are valid.
    """
    _require_cpu('hard_voxelize_forward', points)
    coors_of_points = operators.voxel_of_points(points[:, :NDim], voxel_size, coors_range)
    point, voxel, slot = operators.first_points(coors_of_points, max_points, max_voxels)
    voxels_out[voxel, slot] = points[point]
    coors[voxel] = coors_of_points[point]
    num_points_per_voxel.scatter_add_(0, voxel, num_points_per_voxel.new_ones(len(voxel)))
    voxel_num.fill_(int(voxel.max()) + 1 if len(voxel) else 0)


def box_iou_rotated(boxes1: Tensor, boxes2: Tensor, ious: Tensor, mode_flag: int = 0,
                    aligned: bool = False) -> None:
    """Write the overlap of boxes (x, y, w, h, angle) into ``ious``: (N * M, ), aligned (N, ).

    ``mode_flag`` 0 is the intersection over the union, 1 over the area of the first box.
    """
    _require_cpu('box_iou_rotated', boxes1)
    if not aligned:
        number, others = len(boxes1), len(boxes2)
        boxes1 = boxes1.repeat_interleave(others, 0)
        boxes2 = boxes2.repeat(number, 1)
    ious.copy_(operators.overlap(boxes1, boxes2, over_first=mode_flag == 1))


def nms_rotated(dets: Tensor, scores: Tensor, order: Tensor, dets_sorted: Tensor, labels: Tensor,
                iou_threshold: float, multi_label: bool) -> Tensor:
    """Return the indices (K,) of the kept boxes of ``dets`` (N, 5), by descending score.

    With ``multi_label``, boxes of different labels do not suppress each other, as on a GPU; the
    compiled operator ignores labels on the CPU.
    """
    _require_cpu('nms_rotated', dets)
    return order[operators.keep_best(dets_sorted[:, :5], iou_threshold,
                                     labels[order] if multi_label else None)]


def get_compiler_version() -> str:
    """Return the text for reports of the environment."""
    return 'not compiled'


def get_compiling_cuda_version() -> str:
    """Return the text for reports of the environment."""
    return 'not compiled'
