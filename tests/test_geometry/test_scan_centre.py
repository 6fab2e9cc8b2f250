"""The centre of scans against scipy's minimiser, and on real scans."""
import numpy as np
import torch
from scipy.optimize import minimize

from nclr_plugin.datasets.scan_files import read_columns
from nclr_plugin.geometry.scan_centre import scan_centre


def test_it_is_the_geometric_median_and_moves_with_the_scan():
    """Against scipy's minimiser of the sum of distances."""
    rng = np.random.default_rng(7)
    scans = [rng.normal(size=(900, 3)) * [9, 5, 1] + [3, -2, 0.5],
             np.concatenate((rng.normal(size=(500, 3)), rng.normal(size=(80, 3)) + [20, 0, 0]))]
    angle = 1.1
    turn = torch.tensor([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0],
                         [0, 0, 1]])
    shift = torch.tensor([5., -7., 0.]).double()
    for scan in scans:
        found = scan_centre(torch.from_numpy(scan))
        best = minimize(lambda c: np.linalg.norm(scan - c, axis=1).sum(), scan.mean(0)).x
        assert np.linalg.norm(found.numpy() - best) < 0.05
        assert np.linalg.norm(best - scan.mean(0)) > 0.1
        torch.testing.assert_close(scan_centre(torch.from_numpy(scan) @ turn.T + shift),
                                   found @ turn.T + shift)


def test_one_point_is_its_centre():
    assert scan_centre(torch.ones(1, 4)).tolist() == [1, 1, 1]


def test_two_million_points_are_not_lost_in_the_sum():
    """In float32, a sum of so many takes up the last ones only to some thousandths."""
    points = torch.rand(2_000_000, 3, generator=torch.Generator().manual_seed(0)) * 100
    own = scan_centre(points)
    torch.testing.assert_close(own, scan_centre(points.flip(0)), rtol=0, atol=1e-5)
    assert (own - 50).abs().max() < 0.1


def test_it_is_near_the_sensor_of_real_scans(shared_data):
    for path, dim in (('kitti_object/training/velodyne', 4), ('semantickitti_scan', 4),
                      ('nuscenes_frame/samples/LIDAR_TOP', 5)):
        files = sorted((shared_data / path).rglob('*.bin'))[:3]
        assert files, path
        for file in files:
            points = torch.from_numpy(read_columns(str(file), dim))
            assert scan_centre(points)[:2].norm() < 1.6, file
