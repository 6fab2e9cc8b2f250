"""Plain-torch references of mmdet3d's point operations that exist for CUDA alone."""
import torch

CHUNK = 2048  # centres at a time


def furthest_point_sample(points, number):
    """(B, N, 3) -> (B, number) int32: from point 0 on, each the furthest from those before."""
    chosen = []
    for scan in points:
        rows, distance = [0], scan.new_full((len(scan), ), float('inf'))
        for _ in range(number - 1):
            distance = torch.minimum(distance, (scan - scan[rows[-1]]).square().sum(1))
            rows.append(int(distance.argmax()))
        chosen.append(rows)
    return torch.tensor(chosen, dtype=torch.int32)


def ball_query(low, high, number, points, centres, points_in_scan, centres_in_scan):
    """Stacked scans: (N, 3), (M, 3) -> (M, number) int32, rows within the scan.

    The first points within the radius, the first of them again where they are fewer; -1 in the
    first column where there is none.
    """
    assert low == 0
    found = []
    for mine, asking in zip(points.split(points_in_scan.tolist()),
                            centres.split(centres_in_scan.tolist())):
        for part in asking.split(CHUNK):
            inside = torch.cdist(part.double(), mine.double()) < high
            rank = inside.cumsum(1)
            count = rank[:, -1:]
            place = torch.arange(number).expand(len(part), -1)
            wanted = torch.where(place < count, place, 0) + 1
            # The k-th hit is where the running count reaches k.
            index = torch.searchsorted(rank.contiguous(), wanted.contiguous()).int()
            index[count[:, 0] == 0] = 0
            index[count[:, 0] == 0, 0] = -1
            found.append(index)
    return torch.cat(found)


def grouping_operation(features, indices, features_in_scan, indices_in_scan):
    """Stacked scans: (N, C), (M, number) rows within the scan -> (M, C, number)."""
    first = torch.cumsum(features_in_scan, 0) - features_in_scan
    first = torch.repeat_interleave(first, indices_in_scan.long())
    return features[indices.long() + first[:, None]].transpose(1, 2).contiguous()


def points_in_boxes_all(points, boxes):
    """(B, M, 3), (B, T, 7) with bottom centres -> (B, M, T) int32: 1 inside."""
    local = points[:, :, None] - boxes[:, None, :, :3]
    cos, sin = boxes[:, None, :, 6].cos(), boxes[:, None, :, 6].sin()
    along = local[..., 0] * cos + local[..., 1] * sin
    across = local[..., 1] * cos - local[..., 0] * sin
    length, width, height = boxes[:, None, :, 3:6].unbind(-1)
    inside = (along.abs() < length / 2) & (across.abs() < width / 2)
    return (inside & (local[..., 2] >= 0) & (local[..., 2] <= height)).int()


def points_in_boxes_part(points, boxes):
    """(B, M, 3), (B, T, 7) -> (B, M) int32: the first box around each point, or -1."""
    inside = points_in_boxes_all(points, boxes)
    return torch.where(inside.any(2), inside.argmax(2), -1).int()


PLACES = {
    'mmdet3d.models.middle_encoders.voxel_set_abstraction': [furthest_point_sample],
    'mmdet3d.models.layers.pointnet_modules.stack_point_sa_module': [
        ball_query, grouping_operation],
    'mmdet3d.structures.bbox_3d.base_box3d': [points_in_boxes_all, points_in_boxes_part],
}


def replace_in_mmdet3d(monkeypatch):
    """Have mmdet3d call these."""
    for module, operations in PLACES.items():
        for operation in operations:
            monkeypatch.setattr(f'{module}.{operation.__name__}', operation)
