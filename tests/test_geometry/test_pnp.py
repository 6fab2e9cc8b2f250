
import cv2
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nclr_plugin.demo.pose_problems import make_problems
from nclr_plugin.geometry import pnp
from nclr_plugin.geometry.pnp import refine_pose, solve_pnp
from nclr_plugin.geometry.se3 import make_transform, rotation_error_geodesic_deg, so3_exp

NAMES = ('points', 'pixels', 'cam2img', 'weights')


def inputs_with_grad(problems, weights=None):
    values = [value.clone().requires_grad_() for value in problems[:3]]
    if weights is None:
        weights = torch.ones_like(values[0][..., 0])
    return values + [weights.clone().requires_grad_()]


def solve_opencv(problems, flags, from_truth=False):
    """OpenCV's poses (B, 4, 4), problem by problem."""
    poses = []
    for points, pixels, cam2img, truth, _ in zip(*(value.numpy() for value in problems)):
        guess = [None] * 2
        if from_truth:
            guess = [cv2.Rodrigues(truth[:3, :3])[0], truth[:3, 3:].copy()]
        _, rvec, tvec = cv2.solvePnP(points, pixels, cam2img, None, *guess,
                                     useExtrinsicGuess=from_truth, flags=flags)
        poses.append(make_transform(*map(torch.from_numpy, (cv2.Rodrigues(rvec)[0], tvec[:, 0]))))
    return torch.stack(poses)


def gradients(solution, inputs, seed=0):
    """Gradients of a fixed random combination of all entries of the poses."""
    generator = torch.Generator().manual_seed(seed)
    value = sum((torch.randn(part.shape, generator=generator, dtype=torch.float64) * part).sum()
                for part in (solution.R, solution.t))
    return torch.autograd.grad(value, inputs)


def assert_refused(solution, samples=slice(None)):
    assert not solution.valid[samples].any()
    eye = torch.eye(3, dtype=torch.float64)
    assert (solution.R[samples] == eye).all() and (solution.t[samples] == 0).all()
    assert (solution.reprojection_error[samples] == 0).all()


# --------------------------------------------------------------------------- accuracy


@pytest.mark.parametrize('planar', [False, True])
@pytest.mark.parametrize('num_points', [6, 8, 128])
def test_exact_pixels_give_the_exact_pose(num_points, planar):
    problems = make_problems(32, num_points, noise=0., planar=planar)
    solution = solve_pnp(*problems[:3])
    assert solution.valid.all()
    torch.testing.assert_close(make_transform(solution.R, solution.t), problems.lidar2cam,
                               atol=1e-6, rtol=0)
    assert solution.reprojection_error.max() < 1e-6


@pytest.mark.parametrize('planar', [False, True])
@pytest.mark.parametrize('noise', [1., 3.])
def test_errors_reach_the_maximum_likelihood_bound(noise, planar):
    problems = make_problems(64, 128, noise, planar)
    solution = solve_pnp(*problems[:3])
    bound = solve_opencv(problems, cv2.SOLVEPNP_ITERATIVE, from_truth=True)
    assert solution.valid.all()
    torch.testing.assert_close(make_transform(solution.R, solution.t), bound, atol=1e-4, rtol=0)
    truth = problems.lidar2cam[:, :3, :3]
    ours = rotation_error_geodesic_deg(solution.R, truth).median()
    sqpnp = solve_opencv(problems, cv2.SOLVEPNP_SQPNP)[:, :3, :3]
    assert ours <= 1.05 * rotation_error_geodesic_deg(bound[:, :3, :3], truth).median()
    assert ours < rotation_error_geodesic_deg(sqpnp, truth).median()


def test_agrees_with_sqpnp_without_much_noise():
    problems = make_problems(32, 128, noise=0.01)
    solution = solve_pnp(*problems[:3])
    torch.testing.assert_close(make_transform(solution.R, solution.t),
                               solve_opencv(problems, cv2.SOLVEPNP_SQPNP), atol=0.02, rtol=0)


def test_rotations_are_rotations_and_the_error_is_that_of_opencv():
    problems = make_problems(4, 50)
    solution = solve_pnp(*problems[:3])
    torch.testing.assert_close(solution.R @ solution.R.transpose(1, 2),
                               torch.eye(3).double().expand(4, 3, 3))
    assert (torch.linalg.det(solution.R) > 0).all()
    for i in range(4):
        rvec = cv2.Rodrigues(solution.R[i].numpy())[0]
        projected, _ = cv2.projectPoints(problems.points[i].numpy(), rvec, solution.t[i].numpy(),
                                         problems.cam2img[i].numpy(), None)
        squares = ((projected[:, 0] - problems.pixels[i].numpy())**2).sum(1)
        assert solution.reprojection_error[i].item() == pytest.approx(squares.mean()**0.5)


def test_thin_slabs_between_plane_and_space_are_solved():
    # Roughness of the road from none to two metres: no thickness in between may fail.
    problems = make_problems(40, 64, noise=1., planar=True)
    rough = torch.logspace(-6, 0.3, 40).double()[:, None]
    points = problems.points.clone()
    generator = torch.Generator().manual_seed(0)
    points[..., 2] += rough * torch.randn(40, 64, generator=generator, dtype=torch.float64)
    in_camera = points @ problems.lidar2cam[:, :3, :3].transpose(1, 2)
    in_camera = in_camera + problems.lidar2cam[:, None, :3, 3]
    pixels = in_camera @ problems.cam2img.transpose(1, 2)
    pixels = pixels[..., :2] / pixels[..., 2:] + torch.randn(40, 64, 2, generator=generator)
    solution = solve_pnp(points, pixels, problems.cam2img)
    truth = refine_pose(problems.lidar2cam[:, :3, :3], problems.lidar2cam[:, :3, 3], points,
                        pixels, problems.cam2img)
    torch.testing.assert_close(solution.reprojection_error, truth.reprojection_error)


def test_skewed_cameras_are_solved():
    problems = make_problems(8, 32, noise=0.)
    cam2img = problems.cam2img.clone()
    cam2img[:, 0, 1] = 20.
    pixels = problems.pixels.clone()  # u gains skew * y / z
    y = (pixels[..., 1] - cam2img[:, 1, 2, None]) / cam2img[:, 1, 1, None]
    pixels[..., 0] += 20. * y
    solution = solve_pnp(problems.points, pixels, cam2img)
    torch.testing.assert_close(make_transform(solution.R, solution.t), problems.lidar2cam,
                               atol=1e-6, rtol=0)


# ------------------------------------------------------------------- order and weights


def test_order_of_points_and_samples_does_not_matter():
    problems = make_problems(8, 40)
    solution = solve_pnp(*problems[:3])
    points = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    samples = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    shuffled = solve_pnp(problems.points[samples][:, points], problems.pixels[samples][:, points],
                         problems.cam2img[samples])
    torch.testing.assert_close(shuffled.R, solution.R[samples], atol=1e-9, rtol=0)
    torch.testing.assert_close(shuffled.t, solution.t[samples], atol=1e-7, rtol=0)


def test_a_sample_does_not_depend_on_its_batch():
    problems = make_problems(8, 40, noise=3.)
    together = solve_pnp(*problems[:3])
    for i in range(8):
        alone = solve_pnp(*(value[i:i + 1] for value in problems[:3]))
        torch.testing.assert_close(alone.t[0], together.t[i], atol=1e-7, rtol=0)


@pytest.mark.parametrize('absent', [float('nan'), float('inf'), 1e6])
def test_zero_weight_is_an_absent_point(absent):
    problems = make_problems(4, 40)
    weights = torch.ones(4, 40).double()
    weights[:, 30:] = 0
    points, pixels = problems.points.clone(), problems.pixels.clone()
    points[:, 30:], pixels[:, 35:] = absent, absent
    inputs = [value.requires_grad_() for value in (points, pixels, problems.cam2img, weights)]
    fewer = inputs_with_grad([value[:, :30] for value in problems[:2]] + [problems.cam2img])
    whole, part = solve_pnp(*inputs), solve_pnp(*fewer)
    assert whole.valid.all()
    torch.testing.assert_close(whole.t, part.t, atol=1e-8, rtol=0)
    torch.testing.assert_close(whole.reprojection_error, part.reprojection_error)
    for name, a, b in zip(NAMES, gradients(whole, inputs), gradients(part, fewer)):
        if name == 'cam2img':
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
        else:
            torch.testing.assert_close(a[:, :30], b, atol=1e-6, rtol=1e-5)
            assert (a[:, 30:] == 0).all()


def test_integer_weights_repeat_points_and_their_scale_does_not_matter():
    problems = make_problems(4, 20, noise=3.)
    weights = torch.ones(4, 20).double()
    weights[:, :7] = 3
    repeated = [torch.cat([value, value[:, :7], value[:, :7]], dim=1) for value in problems[:2]]
    expected = solve_pnp(*repeated, problems.cam2img)
    for scale in (1e-6, 1., 1e6):
        actual = solve_pnp(*problems[:3], weights=scale * weights)
        torch.testing.assert_close(actual.t, expected.t, atol=1e-7, rtol=0)


# --------------------------------------------------------------------------- gradients


@pytest.mark.parametrize('planar', [False, True])
def test_gradcheck(planar):
    problems = make_problems(2, 10, noise=2., planar=planar)
    weights = torch.linspace(0.5, 2, 20).double().view(2, 10)
    inputs = inputs_with_grad(problems, weights)

    def solve(points, pixels, focal, weights):
        cam2img = torch.cat([focal, inputs[2].detach()[:, 2:]], dim=1)
        solution = solve_pnp(points, pixels, cam2img, weights)
        return solution.R, solution.t

    focal = inputs[2].detach()[:, :2].requires_grad_()
    assert torch.autograd.gradcheck(solve, (inputs[0], inputs[1], focal, inputs[3]), eps=1e-5,
                                    atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('noise', [0., 1., 20.])
def test_gradients_are_finite_differences_through_the_whole_solver(noise):
    problems = make_problems(4, 30, noise=noise)
    inputs = inputs_with_grad(problems)
    analytic = gradients(solve_pnp(*inputs), inputs)
    generator = torch.Generator().manual_seed(3)
    for i, name in enumerate(NAMES):
        direction = torch.randn(inputs[i].shape, generator=generator, dtype=torch.float64)
        if name == 'cam2img':
            direction[:, 2] = 0
        values = []
        for sign in (1, -1):
            moved = [value.detach() for value in inputs]
            moved[i] = moved[i] + sign * 1e-5 * direction
            solution = solve_pnp(*moved)
            combine = torch.Generator().manual_seed(0)
            values.append(sum((torch.randn(part.shape, generator=combine, dtype=torch.float64)
                               * part).sum() for part in (solution.R, solution.t)))
        numeric = (values[0] - values[1]) / 2e-5
        torch.testing.assert_close((analytic[i] * direction).sum(), numeric, atol=1e-5, rtol=1e-4)


def test_last_row_of_the_intrinsics_is_no_parameter():
    inputs = inputs_with_grad(make_problems(2, 20))
    assert (gradients(solve_pnp(*inputs), inputs)[2][:, 2] == 0).all()


@pytest.mark.parametrize('planar', [False, True])
@pytest.mark.parametrize('noise', [1., 3.])
def test_gradients_stay_small_on_the_benchmark(noise, planar):
    inputs = inputs_with_grad(make_problems(256, 128, noise, planar))
    for gradient in gradients(solve_pnp(*inputs), inputs):
        assert gradient.isfinite().all() and gradient.abs().max() <= 1e3


def test_only_what_asks_for_a_gradient_gets_one():
    problems = make_problems(2, 20)
    pixels = problems.pixels.clone().requires_grad_()
    solution = solve_pnp(problems.points, pixels, problems.cam2img)
    assert torch.autograd.grad(solution.t.sum(), pixels)[0].abs().max() > 0
    assert not solve_pnp(*problems[:3]).R.requires_grad
    with torch.no_grad():
        assert not solve_pnp(problems.points, pixels, problems.cam2img).R.requires_grad


def test_gradient_descent_on_pixels_finds_another_pose():
    # The layer as training uses it: pixels that produce a wanted pose.
    problems = make_problems(2, 32)
    wanted = so3_exp(torch.tensor([[0.01, 0.02, -0.01]]).double()) @ problems.lidar2cam[:, :3, :3]
    pixels = problems.pixels.clone().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=0.5)
    losses = []
    for _ in range(30):
        solution = solve_pnp(problems.points, pixels, problems.cam2img)
        loss = ((solution.R - wanted)**2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


# --------------------------------------------------------------------- types and autocast


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_inputs_of_any_type_are_solved_in_float64_under_autocast(dtype):
    problems = make_problems(4, 64)
    values = [value.to(dtype).requires_grad_() for value in problems[:3]]
    expected = solve_pnp(*(value.detach().double() for value in values))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        solution = solve_pnp(*values)
        assert solution.R.dtype == solution.t.dtype == torch.float64
        (solution.R.sum() + solution.t.sum()).backward()
    torch.testing.assert_close(solution.t, expected.t)
    assert all(value.grad.dtype == dtype and value.grad.isfinite().all() for value in values)


# ------------------------------------------------------------------------ degenerate input


def degenerate(kind):
    """Four problems of which the last is hopeless."""
    problems = make_problems(4, 12)
    points, pixels, cam2img = (value.clone() for value in problems[:3])
    weights = torch.ones(4, 12).double()
    line = torch.linspace(-3, 3, 12).double()[:, None] * torch.tensor([1., 2., 0.5]).double()
    if kind == 'collinear':
        points[3] = line + torch.tensor([5., 0., 1.]).double()
    elif kind == 'collinear far away':
        points[3] = line + torch.tensor([5000., 0., 1.]).double()
    elif kind == 'coincident':
        points[3] = points[3, :1]
    elif kind == 'three distinct':
        points[3] = points[3, torch.arange(12) % 3]
    elif kind == 'too few':
        weights[3, 3:] = 0
    elif kind == 'no weight':
        weights[3] = 0
    elif kind == 'one pixel':
        pixels[3] = pixels[3, :1]
    elif kind == 'nan point':
        points[3, 5, 1] = float('nan')
    elif kind == 'infinite pixel':
        pixels[3, 5, 1] = float('inf')
    elif kind == 'nan weight':
        weights[3, 2] = float('nan')
    elif kind == 'nan intrinsics':
        cam2img[3, 0, 0] = float('nan')
    return points, pixels, cam2img, weights


@pytest.mark.parametrize('kind', ['collinear', 'collinear far away', 'coincident',
                                  'three distinct', 'too few', 'no weight', 'one pixel',
                                  'nan point', 'infinite pixel', 'nan weight', 'nan intrinsics'])
def test_hopeless_samples_are_refused_without_touching_the_others(kind):
    values = degenerate(kind)
    inputs = [value.clone().requires_grad_() for value in values]
    solution = solve_pnp(*inputs)
    assert solution.valid.tolist() == [True, True, True, False]
    assert_refused(solution, 3)
    others = [value[:3].clone().requires_grad_() for value in values]
    expected = solve_pnp(*others)
    torch.testing.assert_close(solution.t[:3], expected.t, atol=1e-8, rtol=0)
    for gradient in gradients(solution, inputs):
        assert (gradient[3] == 0).all()
        assert gradient.isfinite().all() and gradient[:3].abs().max() > 0


def test_a_batch_of_only_hopeless_samples_is_refused():
    inputs = [value[3:].requires_grad_() for value in degenerate('no weight')]
    solution = solve_pnp(*inputs)
    assert_refused(solution)
    assert all((gradient == 0).all() for gradient in gradients(solution, inputs))
    empty = solve_pnp(torch.zeros(2, 0, 3), torch.zeros(2, 0, 2), torch.eye(3).expand(2, 3, 3))
    assert_refused(empty)
    none = solve_pnp(torch.zeros(0, 5, 3), torch.zeros(0, 5, 2), torch.zeros(0, 3, 3))
    assert none.R.shape == (0, 3, 3)


def test_nonsense_stays_finite():
    # Pixels that belong to no pose at all, and pixels of points behind the camera.
    generator = torch.Generator().manual_seed(0)
    problems = make_problems(64, 24)
    random = torch.rand(64, 24, 2, generator=generator, dtype=torch.float64)
    random = random * torch.tensor([512., 160.])
    in_camera = problems.points @ problems.lidar2cam[:, :3, :3].transpose(1, 2)
    in_camera = in_camera + problems.lidar2cam[:, None, :3, 3] - torch.tensor([0., 0., 80.])
    behind = in_camera @ problems.cam2img.transpose(1, 2)
    for pixels in (random, behind[..., :2] / behind[..., 2:]):
        inputs = inputs_with_grad((problems.points, pixels, problems.cam2img))
        solution = solve_pnp(*inputs)
        assert all(part.isfinite().all() for part in (solution.R, solution.t))
        assert solution.reprojection_error.isfinite().all()
        assert all(gradient.isfinite().all() for gradient in gradients(solution, inputs))
        depth = problems.points @ solution.R[:, 2, :, None] + solution.t[:, 2, None, None]
        assert (depth[solution.valid] > 0).all()


@pytest.mark.parametrize('name, shape', [('pixels', (4, 11, 2)), ('cam2img', (4, 4, 4)),
                                         ('weights', (4,)), ('points', (4, 12, 4))])
def test_wrong_shapes_are_named(name, shape):
    values = dict(zip(NAMES, degenerate('')))
    values[name] = torch.zeros(shape)
    with pytest.raises(ValueError, match=name):
        solve_pnp(**values)


def test_scaled_intrinsics_are_refused():
    problems = make_problems(2, 12)
    with pytest.raises(ValueError, match='cam2img'):
        solve_pnp(problems.points, problems.pixels, 2 * problems.cam2img)


# --------------------------------------------------------------------------- refinement


def test_refinement_returns_from_a_perturbed_pose():
    problems = make_problems(16, 64, noise=2.)
    expected = solve_pnp(*problems[:3])
    R = so3_exp(0.05 * torch.ones(16, 3).double()) @ problems.lidar2cam[:, :3, :3]
    solution = refine_pose(R, problems.lidar2cam[:, :3, 3] + 0.3, *problems[:3])
    torch.testing.assert_close(solution.t, expected.t, atol=1e-7, rtol=0)
    inputs = inputs_with_grad(problems)
    a = gradients(refine_pose(R, problems.lidar2cam[:, :3, 3], *inputs), inputs)
    b = gradients(solve_pnp(*inputs), inputs)
    for x, y in zip(a, b):
        torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5)


def test_no_batch_of_matrices_is_inverted():
    """Batched LU fails on some GPUs; what there is to invert is triangular or positive definite."""
    class Operations(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            names.add(str(function))
            return function(*args, **(kwargs or {}))

    names = set()
    inputs = inputs_with_grad(make_problems(24, 64))
    with Operations():
        gradients(solve_pnp(*inputs), inputs)
    assert any('cholesky' in name for name in names), 'operations are seen'
    assert [name for name in names if 'inv' in name or 'lu' in name.split('.')[1].split('_') or
            'linalg_solve' in name] == []


def test_intrinsics_with_skew():
    """Of the closed inverse: an exact pose has the exact solution, whatever the intrinsics."""
    problems = make_problems(24, 64)
    cam2img = problems.cam2img.clone()
    cam2img[:, 0, 1] = 30.
    T = problems.lidar2cam
    in_camera = problems.points.double() @ T[:, :3, :3].transpose(1, 2) + T[:, None, :3, 3]
    pixels = (in_camera / in_camera[..., 2:]) @ cam2img.double().transpose(1, 2)
    solution = solve_pnp(problems.points, pixels[..., :2], cam2img, iterations=3)
    assert solution.valid.all()
    torch.testing.assert_close(solution.R, T[:, :3, :3].double(), rtol=0, atol=1e-6)


def test_minimum_number_of_points_is_what_the_names_say():
    problems = make_problems(64, pnp.MIN_POINTS, noise=0.)
    solution = solve_pnp(*problems[:3])
    assert (solution.valid & (solution.reprojection_error < 1e-6)).all()
    fewer = solve_pnp(*(value[:, :pnp.MIN_POINTS - 1] for value in problems[:2]),
                      problems.cam2img)
    assert_refused(fewer)


def test_a_pose_is_refined_from_fewer_points():
    problems = make_problems(16, pnp.MIN_DISTINCT, noise=0.)
    T = problems.lidar2cam
    R = so3_exp(0.001 * torch.ones(16, 3).double()) @ T[:, :3, :3]
    solution = refine_pose(R, T[:, :3, 3], *problems[:3])
    assert (solution.valid & (solution.reprojection_error < 1e-6)).all()
    fewer = refine_pose(R, T[:, :3, 3], *(value[:, :pnp.MIN_DISTINCT - 1]
                                          for value in problems[:2]), problems.cam2img)
    assert_refused(fewer)


def test_few_points_and_telephoto_lenses_find_the_pose_of_least_error():
    """Where a kernel of one dimension is least certain: few points, and nearly affine views."""
    near = make_problems(200, 8, noise=3.)
    far = make_problems(200, 64)
    T_far = far.lidar2cam.clone()
    T_far[:, 2, 3] += 475.
    in_camera = far.points @ T_far[:, :3, :3].transpose(1, 2) + T_far[:, None, :3, 3]
    cam2img = far.cam2img.clone()
    cam2img[:, (0, 1), (0, 1)] *= 20
    h = in_camera @ cam2img.transpose(1, 2)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 64, 2, generator=generator, dtype=torch.float64)
    for args, truth in ((near[:3], near.lidar2cam),
                        ((far.points, h[..., :2] / h[..., 2:] + noise, cam2img), T_far)):
        solution = solve_pnp(*args)
        best = refine_pose(truth[:, :3, :3], truth[:, :3, 3], *args)
        assert solution.valid.all()
        torch.testing.assert_close(solution.reprojection_error, best.reprojection_error)
