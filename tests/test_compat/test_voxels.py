import math

import pytest
import torch

from nclr_plugin.compat.voxels import first_points, voxel_of_points

SIZE = torch.tensor([0.5, 0.25, 1.0])
RANGE = torch.tensor([-2.0, -1, -1, 2, 1, 3])


def test_voxels_are_counted_from_the_lower_limits_in_reverse_order():
    points = torch.tensor([[-2.0, -1, -1], [1.99, 0.99, 2.99], [0.1, -0.6, 1.5]])
    assert voxel_of_points(points, SIZE, RANGE).tolist() == [[0, 0, 0], [3, 7, 7], [2, 1, 4]]


@pytest.mark.parametrize('outside', [-2.001, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('axis', [0, 1, 2])
def test_points_outside_have_no_voxel(outside, axis):
    points = torch.zeros(2, 3)
    points[:, axis] = torch.stack([torch.tensor(outside), RANGE[3 + axis]])
    assert voxel_of_points(points, SIZE, RANGE).tolist() == [[-1, -1, -1]] * 2


def test_other_numbers_of_dimensions_are_voxels_too():
    assert voxel_of_points(torch.tensor([[0.1, 0.3]]), SIZE[:2],
                           torch.tensor([0.0, 0, 1, 1])).tolist() == [[1, 0]]


@pytest.mark.parametrize('max_points, max_voxels', [(1, 1000), (3, 20), (50, 5), (50, 1000)])
def test_first_points_of_first_voxels(max_points, max_voxels):
    generator = torch.Generator().manual_seed(0)
    coors = torch.randint(-1, 4, (400, 3), generator=generator).int()
    coors[(coors < 0).any(1)] = -1
    content = {}
    for point, coor in enumerate(coors.tolist()):
        if coor[0] >= 0 and (tuple(coor) in content or len(content) < max_voxels):
            content.setdefault(tuple(coor), []).append(point)
    expected = {(point, voxel, place) for voxel, points in enumerate(content.values())
                for place, point in enumerate(points[:max_points])}
    found = first_points(coors, max_points, max_voxels)
    assert set(zip(*(values.tolist() for values in found))) == expected


def test_no_point_makes_no_voxel():
    for coors in (torch.zeros(0, 3).int(), torch.full((5, 3), -1).int()):
        assert [len(values) for values in first_points(coors, 5, 5)] == [0, 0, 0]
