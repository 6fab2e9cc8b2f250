"""Program: the operations of PV-RCNN through OpenPCDet's own Python; reports as JSON."""
import preload  # noqa: F401, isort: skip
import json

import numpy as np
import torch

from nclr_plugin.pcdet import register

register()
from pcdet.ops.iou3d_nms import iou3d_nms_utils  # noqa: E402
from pcdet.ops.pointnet2.pointnet2_stack import pointnet2_utils  # noqa: E402
from pcdet.ops.roiaware_pool3d import roiaware_pool3d_utils  # noqa: E402
from shapely import affinity  # noqa: E402
from shapely.geometry import Point  # noqa: E402
from shapely.geometry import box as rectangle  # noqa: E402

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
torch.manual_seed(0)
report = {}
points = torch.rand(300, 3) * 4
sizes = torch.tensor([180, 120], dtype=torch.int32)
centres = torch.cat((points[:180:9], points[180::9], torch.full((1, 3), 99.)))
asking = torch.tensor([20, len(centres) - 20], dtype=torch.int32)


def on_device(*tensors):
    return [tensor.to(DEVICE).contiguous() for tensor in tensors]


rows = pointnet2_utils.farthest_point_sample(*on_device(points[None]), 10)[0].cpu().tolist()
chosen = [0]
for _ in range(9):
    distance = ((points[:, None] - points[chosen])**2).sum(-1).min(1)[0]
    chosen.append(int(distance.argmax()))
report['farthest_points'] = rows == chosen

found, empty = (tensor.cpu() for tensor in pointnet2_utils.ball_query(
    0.7, 4, *on_device(points, sizes, centres, asking)))
expected, none = [], []
for scan, (mine, there) in enumerate(zip(centres.split(asking.tolist()),
                                         points.split(sizes.tolist()))):
    for centre in mine:
        inside = np.flatnonzero(((there - centre)**2).sum(1).numpy() < 0.7**2).tolist()
        none.append(not inside)
        expected.append((inside[:4] + inside[:1] * 4)[:4] or [0] * 4)
report['balls'] = found.tolist() == expected and empty.tolist() == none
report['empty_balls'] = sum(none)

features, = on_device(torch.rand(300, 5))
features.requires_grad_()
grouped = pointnet2_utils.grouping_operation(features, *on_device(sizes, found, asking))
start = torch.repeat_interleave(torch.tensor([0, 180]), asking.long())
picked = features.detach().cpu()[found.long() + start[:, None]].transpose(1, 2)
report['groups'] = torch.equal(grouped.detach().cpu(), picked)
weight = torch.rand(grouped.shape)
(grouped * weight.to(DEVICE)).sum().backward()
gradient = np.zeros((300, 5))
np.add.at(gradient, (found.long() + start[:, None]).numpy(), weight.transpose(1, 2).numpy())
report['gradient'] = float(np.abs(features.grad.cpu().numpy() - gradient).max())

boxes = torch.cat((torch.rand(40, 3) * 4, torch.rand(40, 3) * 2 + 0.3, torch.rand(40, 1) * 6), 1)
shapes = [affinity.rotate(rectangle(x - dx / 2, y - dy / 2, x + dx / 2, y + dy / 2), yaw,
                          use_radians=True) for x, y, _, dx, dy, _, yaw in boxes.tolist()]
inside = np.array([[shape.contains(Point(x, y)) and abs(z - box[2]) <= box[5] / 2
                    for x, y, z in points.tolist()]
                   for shape, box in zip(shapes, boxes.tolist())])  # (40, 300)
first = np.where(inside.any(0), inside.argmax(0), -1)
part = roiaware_pool3d_utils.points_in_boxes_gpu(*on_device(points[None], boxes[None]))[0].cpu()
report['boxes'] = part.tolist() == first.tolist()
each = roiaware_pool3d_utils.points_in_boxes_cpu(points, boxes)
report['each_box'] = each.bool().tolist() == inside.tolist()
report['points_inside'] = int(inside.any(0).sum())

area = np.array([[one.intersection(two).area for two in shapes] for one in shapes])
low, high = (boxes[:, 2] - boxes[:, 5] / 2).numpy(), (boxes[:, 2] + boxes[:, 5] / 2).numpy()
height = np.clip(np.minimum(high[:, None], high) - np.maximum(low[:, None], low), 0, None)
volume = boxes[:, 3:6].prod(1).numpy()
shared = area * height
iou = shared / (volume[:, None] + volume - shared)
own = iou3d_nms_utils.boxes_iou3d_gpu(*on_device(boxes, boxes)).cpu().numpy()
report['iou'] = float(np.abs(own - iou).max())
report['overlapping'] = int((iou > 0.1).sum())

scores = torch.rand(40)
kept, _ = iou3d_nms_utils.nms_gpu(*on_device(boxes, scores), 0.2)
ground = boxes[:, 3] * boxes[:, 4]
flat = area / (ground[:, None] + ground - area).numpy()
left = []
for row in scores.argsort(descending=True).tolist():
    if all(flat[row, other] <= 0.2 for other in left):
        left.append(row)
report['suppression'] = kept.cpu().tolist() == left
report['kept'] = len(left)
print(json.dumps(report))
