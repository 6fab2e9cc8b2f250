"""Stand-ins by which OpenPCDet runs without CUDA and without being built.

Import this before OpenPCDet. What is built is used; in its place, where it is missing,

- ``pcdet.version``, which OpenPCDet's setup.py writes;
- each compiled extension in ``pcdet.ops``: the operations below in plain torch, called by
  OpenPCDet's own Python (``pcdet/ops/*_utils.py``); any other operation raises when it is called;
- ``.cuda()``, which leaves tensors and modules on the CPU;
- spconv's convolutions, which use its native algorithm, the one that exists for CPUs.
"""
import importlib.abc
import importlib.machinery
import sys

import point_operations as reference
import torch
from spconv.core import ConvAlgo
from spconv.pytorch.conv import SparseConvolution


def farthest_point_sampling_wrapper(_batch, _points, number, xyz, _distances, out):
    """Sample rows: (B, N, 3) -> (B, number)."""
    out.copy_(reference.furthest_point_sample(xyz, number))


def ball_query_wrapper(_batch, _centres, radius, number, centres, centres_in_scan, xyz,
                       points_in_scan, out):
    """Find rows of the points in the balls, of stacked scans."""
    out.copy_(reference.ball_query(0, radius, number, xyz, centres, points_in_scan,
                                   centres_in_scan))


def group_points_wrapper(_batch, _centres, _channels, _number, features, features_in_scan, indices,
                         indices_in_scan, out):
    """Gather features by these rows, of stacked scans."""
    out.copy_(reference.grouping_operation(features, indices, features_in_scan, indices_in_scan))


def group_points_grad_wrapper(_batch, _centres, channels, rows, _number, grad, indices,
                              indices_in_scan, features_in_scan, out):
    """Compute the gradient, by that of the reference."""
    with torch.enable_grad():
        features = torch.zeros(rows, channels, requires_grad=True)
        grouped = reference.grouping_operation(features, indices, features_in_scan, indices_in_scan)
        out.copy_(torch.autograd.grad(grouped, features, grad)[0])


def points_in_boxes_gpu(boxes, points, out):
    """Find the first box around each point: (B, T, 7), (B, M, 3) -> (B, M)."""
    out.copy_(reference.points_in_boxes_part(points, _by_bottom(boxes)))


def points_in_boxes_cpu(boxes, points, out):
    """Mark the points of each box: (T, 7), (M, 3) -> (T, M)."""
    out.copy_(reference.points_in_boxes_all(points[None], _by_bottom(boxes)[None])[0].T)


def boxes_iou_bev_cpu(boxes, others, out):
    """Compute the intersection over union of each pair of boxes, seen from above."""
    out.copy_(_bev_iou(boxes, others))


def boxes_overlap_bev_gpu(boxes, others, out):
    """Compute the area that each pair of boxes shares, seen from above."""
    iou = _bev_iou(boxes, others)
    area, other_area = (part[:, 3] * part[:, 4] for part in (boxes, others))
    out.copy_(iou / (1 + iou) * (area[:, None] + other_area))


def nms_gpu(boxes, keep, threshold):
    """Suppress boxes, which come by descending score; return how many are kept."""
    overlapping = _bev_iou(boxes, boxes) > threshold
    kept = []
    for row in range(len(boxes)):
        if not overlapping[row, kept].any():
            kept.append(row)
    keep[:len(kept)] = torch.tensor(kept, dtype=keep.dtype)
    return len(kept)


def _by_bottom(boxes):
    """OpenPCDet's boxes lie around their centres, the reference's stand on their bottoms."""
    boxes = boxes.clone()
    boxes[..., 2] -= boxes[..., 5] / 2
    return boxes


def _bev_iou(boxes, others):
    from mmcv.ops import box_iou_rotated
    columns = [0, 1, 3, 4, 6]
    return box_iou_rotated(boxes[:, columns].contiguous(), others[:, columns].contiguous())


OPERATIONS = dict(
    pointnet2_stack_cuda=[farthest_point_sampling_wrapper, ball_query_wrapper,
                          group_points_wrapper, group_points_grad_wrapper],
    roiaware_pool3d_cuda=[points_in_boxes_gpu, points_in_boxes_cpu],
    iou3d_nms_cuda=[boxes_iou_bev_cpu, boxes_overlap_bev_gpu, nms_gpu])


class MissingParts(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Importer of what OpenPCDet's setup.py would have made."""

    def find_spec(self, name, path=None, target=None):
        extension = name.startswith('pcdet.ops.') and name.endswith(('_cuda', '_ext'))
        if extension or name == 'pcdet.version':
            return importlib.machinery.ModuleSpec(name, self)
        return None

    def exec_module(self, module):
        name = module.__name__
        if name == 'pcdet.version':
            module.__version__ = '0.6.0'
            return
        for operation in OPERATIONS.get(name.rpartition('.')[2], ()):
            setattr(module, operation.__name__, operation)
        module.__getattr__ = lambda attribute: _refuse(name, attribute)


def _refuse(module, attribute):
    if attribute.startswith('__'):
        raise AttributeError(attribute)

    def call(*_, **__):
        raise NotImplementedError(f'{module}.{attribute} needs CUDA')

    return call


def _stay(self, *_, **__):
    return self


def _with_native_algorithm(construct):

    def __init__(self, *args, **kwargs):
        construct(self, *args, **{**kwargs, 'algo': ConvAlgo.Native})

    return __init__


sys.meta_path.append(MissingParts())  # at the end: what is built comes first
torch.Tensor.cuda = torch.nn.Module.cuda = _stay
torch.cuda.FloatTensor, torch.cuda.IntTensor = torch.FloatTensor, torch.IntTensor
SparseConvolution.__init__ = _with_native_algorithm(SparseConvolution.__init__)
