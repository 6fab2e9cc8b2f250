import math
import time

import pytest
import torch

from nclr_plugin.compat import operators
from nclr_plugin.compat.operators import first_points, voxel_of_points


def random_boxes(number, spread=4.0, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    centre, size, angle = torch.rand(number, 5, generator=generator).split([2, 2, 1], 1)
    return torch.cat([spread * (centre - 0.5), 0.3 + 4 * size, 7 * (angle - 0.5)], 1).to(dtype)


def polygon(box):
    shapely = pytest.importorskip('shapely.geometry')
    return shapely.Polygon(operators.corners(torch.as_tensor(box)[None].double())[0].numpy())


def naive_keep_best(given, threshold, labels=None):
    kept = []
    for row in range(len(given)):
        rivals = [other for other in kept if labels is None or labels[other] == labels[row]]
        overlaps = operators.overlap(given[rivals], given[row].expand(len(rivals), -1))
        if not (overlaps >= threshold).any():
            kept.append(row)
    return kept


def test_corners_turn_from_x_to_y():
    corners = operators.corners(torch.tensor([[1.0, 2.0, 4.0, 2.0, math.pi / 2]]))[0]
    torch.testing.assert_close(corners, torch.tensor([[2.0, 0], [2, 4], [0, 4], [0, 0]]))


def test_intersection_is_that_of_polygons():
    one, two = random_boxes(500).double(), random_boxes(500, seed=1).double()
    expected = [polygon(a).intersection(polygon(b)).area for a, b in zip(one, two)]
    assert sum(area > 0 for area in expected) > 300
    torch.testing.assert_close(operators.intersection(one, two), torch.tensor(expected).double())


@pytest.mark.parametrize('angle', [0, 0.3, math.pi / 2, math.pi, 1e-8])
def test_equal_boxes_and_those_along_an_edge_are_measured_exactly(angle):
    one = torch.tensor([[3.0, -2.0, 4.0, 2.0, 0.7]]).double()
    turned = one.clone()
    turned[:, 4] += angle
    shared = polygon(one[0]).intersection(polygon(turned[0])).area
    torch.testing.assert_close(operators.intersection(one, turned).item(), shared)
    axis = torch.tensor([0.7]).cos(), torch.tensor([0.7]).sin()
    for step, overlap in ((2.0, 1 / 3), (4.0, 0.0), (5.0, 0.0)):
        moved = one.clone()
        moved[:, 0] += step * axis[0]
        moved[:, 1] += step * axis[1]
        assert operators.overlap(one, moved).item() == pytest.approx(overlap, abs=1e-6)


def test_a_box_within_another_and_one_without_area():
    large, small = torch.tensor([[0, 0, 8, 6, 0.4]]), torch.tensor([[0.5, 0.3, 2, 1, 1.2]])
    flat = torch.tensor([[0, 0, 4, 0, 0.0]])
    assert operators.overlap(large, small).item() == pytest.approx(2 / 48)
    assert operators.overlap(small, large, over_first=True).item() == pytest.approx(1)
    assert operators.overlap(large, flat).item() == operators.overlap(flat, flat).item() == 0


@pytest.mark.parametrize('threshold', [0.0, 0.01, 0.3, 0.7])
@pytest.mark.parametrize('number', [0, 1, 700])
def test_best_boxes_are_kept_in_order(number, threshold):
    given = random_boxes(number, spread=40)
    assert operators.keep_best(given, threshold).tolist() == naive_keep_best(given, threshold)


def test_boxes_of_other_labels_are_left_alone():
    given, labels = random_boxes(300), torch.arange(300) % 3
    kept = operators.keep_best(given, 0.1, labels)
    assert kept.tolist() == naive_keep_best(given, 0.1, labels)
    assert len(kept) > len(operators.keep_best(given, 0.1))


@pytest.mark.parametrize('spread', [1, 20, 500])
def test_thousands_of_boxes_take_seconds(spread):
    begin = time.process_time()
    operators.keep_best(random_boxes(4096, spread), 0.1)
    assert time.process_time() - begin < 20


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
