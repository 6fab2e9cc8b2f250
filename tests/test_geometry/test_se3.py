import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from nclr_plugin.geometry import se3

unit_vectors = hnp.arrays(np.float64, 3, elements=st.floats(-1, 1)).filter(
    lambda v: np.linalg.norm(v) > 1e-3).map(lambda v: v / np.linalg.norm(v))
angles = st.one_of(st.floats(0, np.pi), st.floats(-16, 0).map(lambda x: 10**x),
                   st.floats(-12, -1).map(lambda x: np.pi - 10**x))


def random_rotations(*shape, seed=0):
    count = int(np.prod(shape))
    matrices = Rotation.random(count, random_state=seed).as_matrix()
    return torch.from_numpy(matrices).view(*shape, 3, 3)


def random_transforms(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    t = 10 * torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
    return se3.make_transform(random_rotations(*shape, seed=seed), t)


@settings(max_examples=200, deadline=None)
@given(unit_vectors, angles)
def test_exp_agrees_with_scipy(axis, angle):
    expected = Rotation.from_rotvec(axis * angle).as_matrix()
    actual = se3.so3_exp(torch.from_numpy(axis * angle))
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-14)


@settings(max_examples=200, deadline=None)
@given(unit_vectors, angles)
def test_log_inverts_exp_from_zero_to_pi(axis, angle):
    R = Rotation.from_rotvec(axis * angle).as_matrix()
    omega = se3.so3_log(torch.from_numpy(R)).numpy()
    assert np.linalg.norm(omega) <= np.pi + 1e-12
    np.testing.assert_allclose(Rotation.from_rotvec(omega).as_matrix(), R, atol=1e-14)
    if angle < np.pi - 1e-6:  # at pi both signs are right
        np.testing.assert_allclose(omega, axis * angle, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize('size', [0., 1e-9, 1e-3, 1e-3 + 1e-9, 1., 3.1])
def test_exp_and_log_have_right_gradients_at_every_angle(size):
    omega = size * torch.tensor([[0.6, -0.48, 0.64]], dtype=torch.float64)
    omega.requires_grad_()
    assert torch.autograd.gradcheck(se3.so3_exp, omega)
    assert torch.autograd.gradcheck(lambda w: se3.so3_log(se3.so3_exp(w)), omega, atol=1e-4)


def test_log_gradient_is_finite_at_zero_and_pi():
    for diagonal in ((1., 1., 1.), (1., -1., -1.), (-1., 1., -1.), (-1., -1., 1.)):
        R = torch.diag(torch.tensor(diagonal, dtype=torch.float64)).requires_grad_()
        gradient, = torch.autograd.grad(se3.so3_log(R).sum(), R)
        assert gradient.isfinite().all()


def test_transforms_agree_with_numpy():
    T = random_transforms(2, 4)
    points = torch.randn(2, 4, 7, 3, dtype=torch.float64)
    moved = se3.transform_points(T, points)
    homogeneous = np.concatenate([points.numpy(), np.ones((2, 4, 7, 1))], axis=-1)
    expected = np.einsum('abij,abnj->abni', T.numpy(), homogeneous)[..., :3]
    np.testing.assert_allclose(moved.numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(se3.invert_transform(T).numpy(), np.linalg.inv(T.numpy()),
                               atol=1e-12)


def test_transform_points_promotes_and_is_not_autocast():
    T = random_transforms(1)[0]
    points = 50 * torch.randn(100, 3)
    assert se3.transform_points(T, points).dtype == torch.float64
    exact = se3.transform_points(T.float(), points)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        torch.testing.assert_close(se3.transform_points(T.float(), points), exact)


def test_skew_is_the_cross_product():
    a, b = torch.randn(2, 5, 3, dtype=torch.float64)
    torch.testing.assert_close((se3.skew(a) @ b[..., None])[..., 0], torch.linalg.cross(a, b))


def test_yaw_turns_anticlockwise_about_z():
    yaw = torch.linspace(-3, 3, 7, dtype=torch.float64)
    expected = Rotation.from_euler('z', yaw.numpy()[:, None]).as_matrix()
    np.testing.assert_allclose(se3.yaw_rotation(yaw).numpy(), expected, atol=1e-15)
    quarter = se3.yaw_rotation(torch.tensor(np.pi / 2))
    torch.testing.assert_close(quarter @ torch.tensor([1., 0., 0.]), torch.tensor([0., 1., 0.]),
                               atol=1e-6, rtol=0)


def test_the_identity_pose_is_the_pose_before_the_random_transform():
    lidar2cam = random_transforms(6)
    rigid_transform = random_transforms(1, seed=5)[0]
    moved = lidar2cam @ torch.inverse(rigid_transform)
    torch.testing.assert_close(se3.identity_pose(moved, rigid_transform.numpy()), lidar2cam)
    assert se3.identity_pose(moved.float(), rigid_transform).dtype == torch.float32


def test_arrays_give_the_arrays_of_the_same_tensors():
    pose, points = random_transforms(1)[0], torch.randn(9, 3)
    frozen = np.broadcast_to(points.numpy(), (2, 9, 3))  # cannot be written
    for arrays in ((pose.numpy(), points.numpy()), (pose.numpy(), frozen)):
        moved = se3.transform_points(*arrays)
        assert isinstance(moved, np.ndarray) and moved.dtype == np.float64
        np.testing.assert_array_equal(moved, np.broadcast_to(
            se3.transform_points(pose, points).numpy(), moved.shape))
    assert float(se3.translation_error(np.eye(4), np.eye(4))) == 0


def test_geodesic_error_agrees_with_scipy_down_to_tiny_angles():
    R = random_rotations(50)
    for size in (1e-7, 1e-3, 1., 3.14159):
        turn = Rotation.from_rotvec(size * np.array([0.6, -0.48, 0.64])).as_matrix()
        error = se3.rotation_error_geodesic_deg(R, R @ torch.from_numpy(turn))
        np.testing.assert_allclose(error.numpy(), np.rad2deg(size), rtol=1e-6)
    assert se3.rotation_error_geodesic_deg(R, R).max() < 1e-6


def test_translation_error_is_the_distance():
    T_pred, T_gt = random_transforms(9, seed=1), random_transforms(9, seed=2)
    expected = np.linalg.norm((T_pred - T_gt).numpy()[:, :3, 3], axis=1)
    np.testing.assert_allclose(se3.translation_error(T_pred, T_gt).numpy(), expected)
