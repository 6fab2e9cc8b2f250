"""Stand-ins of compiled operations of OpenPCDet that PV-RCNN calls, for machines without CUDA.

Imported before OpenPCDet. Its Python around them (`pcdet/ops/*_utils.py`) stays as it is, but for
the tensors that it makes on the GPU.
"""
import sys
from pathlib import Path

import pcdet_on_cpu  # noqa: F401, its modules are completed here
import torch

sys.path.append(str(Path(__file__).resolve().parents[1] / 'test_end_to_end'))
import point_operations as reference  # noqa: E402

torch.cuda.FloatTensor, torch.cuda.IntTensor = torch.FloatTensor, torch.IntTensor


def farthest_point_sampling_wrapper(_batch, _points, number, xyz, _distances, out):
    """(B, N, 3) -> (B, number) rows."""
    out.copy_(reference.furthest_point_sample(xyz, number))


def ball_query_wrapper(_batch, _centres, radius, number, centres, centres_in_scan, xyz,
                       points_in_scan, out):
    """Stacked scans: rows of the points in the balls."""
    out.copy_(reference.ball_query(0, radius, number, xyz, centres, points_in_scan,
                                   centres_in_scan))


def group_points_wrapper(_batch, _centres, _channels, _number, features, features_in_scan, indices,
                         indices_in_scan, out):
    """Stacked scans: features by these rows."""
    out.copy_(reference.grouping_operation(features, indices, features_in_scan, indices_in_scan))


def group_points_grad_wrapper(_batch, _centres, channels, rows, _number, grad, indices,
                              indices_in_scan, features_in_scan, out):
    """The gradient, by that of the reference."""
    with torch.enable_grad():
        features = torch.zeros(rows, channels, requires_grad=True)
        grouped = reference.grouping_operation(features, indices, features_in_scan, indices_in_scan)
        out.copy_(torch.autograd.grad(grouped, features, grad)[0])


def points_in_boxes_gpu(boxes, points, out):
    """The first box around each point; boxes by their centres, not by their bottoms as there."""
    bottom = boxes.clone()
    bottom[..., 2] -= boxes[..., 5] / 2
    out.copy_(reference.points_in_boxes_part(points, bottom))


def boxes_overlap_bev_gpu(one, two, out):
    """Area that each pair of boxes shares, seen from above."""
    area, other = (boxes[:, 3] * boxes[:, 4] for boxes in (one, two))
    iou = _iou(one, two)
    out.copy_(iou / (1 + iou) * (area[:, None] + other))


def nms_gpu(boxes, keep, threshold):
    """Boxes by falling score; returns how many are kept."""
    iou, alive, count = _iou(boxes, boxes), torch.ones(len(boxes), dtype=torch.bool), 0
    for row in range(len(boxes)):
        if alive[row]:
            keep[count] = row
            count += 1
            alive &= iou[row] <= threshold
    return count


def _iou(one, two):
    from mmcv.ops import box_iou_rotated
    columns = [0, 1, 3, 4, 6]
    return box_iou_rotated(one[:, columns].contiguous(), two[:, columns].contiguous())


def _complete(module, *functions):
    for function in functions:
        setattr(sys.modules[f'pcdet.ops.{module}'], function.__name__, function)


_complete('pointnet2.pointnet2_stack.pointnet2_stack_cuda', farthest_point_sampling_wrapper,
          ball_query_wrapper, group_points_wrapper, group_points_grad_wrapper)
_complete('roiaware_pool3d.roiaware_pool3d_cuda', points_in_boxes_gpu)
_complete('iou3d_nms.iou3d_nms_cuda', boxes_overlap_bev_gpu, nms_gpu)
