"""Pose errors against angles that are known by construction."""
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nclr_plugin.evaluation.pose_errors import (pose_errors, rotation_error_euler_deg, view_poses)
from nclr_plugin.structures import CalibrationDataSample

ORDERS = ['xzy', 'xyz', 'zyx', 'yxz', 'XYZ', 'XZY', 'ZXY']


def about(axis, degrees):
    """(3, 3) rotation about a coordinate axis, written out."""
    first, second = {'x': (1, 2), 'y': (2, 0), 'z': (0, 1)}[axis.lower()]
    R = np.eye(3)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    R[first, first], R[first, second], R[second, first], R[second, second] = c, -s, s, c
    return R


def compose(order, angles):
    """Turn about fixed axes (lower case) or moving axes (upper case), one after another."""
    R = np.eye(3)
    for axis, angle in zip(order, angles):
        R = R @ about(axis, angle) if order.isupper() else about(axis, angle) @ R
    return R


def euler_error(R_pred, R_gt, order):
    return rotation_error_euler_deg(
        torch.from_numpy(R_pred)[None], torch.from_numpy(R_gt)[None], order)[0]


@pytest.mark.parametrize('order', ORDERS)
@settings(max_examples=40, deadline=None)
@given(outer=st.tuples(*[st.floats(-179, 179)] * 2), middle=st.floats(-89, 89),
       base=st.tuples(*[st.floats(-180, 180)] * 3))
def test_euler_error_is_the_sum_of_the_angles_it_was_composed_of(order, outer, middle, base):
    R_pred = compose('xyz', base)
    R_gt = R_pred @ compose(order, (outer[0], middle, outer[1]))
    expected = abs(outer[0]) + abs(middle) + abs(outer[1])
    assert euler_error(R_pred, R_gt, order) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize('middle', [90, -90])
def test_euler_error_at_gimbal_lock_is_silent_and_has_one_outer_angle(middle):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        found = euler_error(np.eye(3), compose('xzy', (30, middle, 0)), 'xzy')
    assert found == pytest.approx(120, abs=1e-4)


def test_euler_error_lies_between_the_geodesic_one_and_sqrt_3_times_it_when_small():
    rng = np.random.default_rng(0)
    target = np.tile(np.eye(4), (100, 1, 1))
    predicted = target.copy()
    predicted[:, :3, :3] = [compose('xyz', rng.normal(size=3)) for _ in range(100)]
    errors = pose_errors(torch.from_numpy(predicted), torch.from_numpy(target))
    ratio = np.array(errors['euler_xzy']) / np.array(errors['geodesic'])
    assert 0.99 < ratio.min() and ratio.max() < 1.01 * 3**0.5


def test_no_view_has_no_error():
    nothing = torch.zeros(0, 4, 4, dtype=torch.float64)
    assert pose_errors(nothing, nothing) == dict(geodesic=[], euler_xzy=[], euler_XYZ=[], rte_m=[])


def broken_poses():
    """Predictions of six views, of which only the first two are poses."""
    predicted = np.tile(np.eye(4), (6, 1, 1))
    predicted[1, :3, :3] = compose('xyz', (10, 20, 30))
    predicted[2, 0, 3] = np.nan
    predicted[3, 1, 1] = np.inf
    predicted[4, :3, :3] = np.diag([1., 1., -1.])  # a mirror
    predicted[5, :3, :3] = 0
    return torch.from_numpy(predicted)


def test_what_is_no_rigid_pose_counts_as_none():
    rigid_transform = np.eye(4)
    rigid_transform[:3, 3] = 1., 2., 3.
    sample = CalibrationDataSample(metainfo=dict(rigid_transform=rigid_transform))
    sample.lidar2cam = torch.eye(4, dtype=torch.float64).repeat(6, 1, 1)
    sample.pred_lidar2cam, sample.pred_valid = broken_poses(), torch.ones(6, dtype=torch.bool)
    poses = view_poses(sample.to_dict())
    assert poses.valid.tolist() == [True, True, False, False, False, False]
    assert torch.equal(poses.predicted[:2], sample.pred_lidar2cam[:2])
    assert torch.equal(poses.predicted[2:], torch.from_numpy(rigid_transform).expand(4, 4, 4))
    errors = pose_errors(poses.predicted, poses.target)
    assert errors['geodesic'][2:] == [0, 0, 0, 0]
    assert errors['rte_m'][2:] == pytest.approx([14**0.5] * 4)
