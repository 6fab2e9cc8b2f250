import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nclr_plugin.geometry import camera
from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.geometry.se3 import make_transform

GRID = CellGrid(height=30, width=50, stride=4)

WIDTH, HEIGHT = 620, 187


def scene(seed=0, count=200, skewness=3.):
    """LiDAR points all around, a calibration with skew, and their pixels by plain numpy."""
    rng = np.random.default_rng(seed)
    axes = np.array([[0., -1, 0], [0, 0, -1], [1, 0, 0]])
    R = Rotation.from_rotvec(0.1 * rng.standard_normal(3)).as_matrix() @ axes
    t = 0.3 * rng.standard_normal(3)
    K = np.array([[360., skewness, 304.], [0, 355, 86], [0, 0, 1]])
    points = rng.uniform(-40, 40, (count, 3))
    in_camera = points @ R.T + t
    pixels = in_camera @ K.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    lidar2cam = make_transform(torch.from_numpy(R), torch.from_numpy(t))
    return torch.from_numpy(points), lidar2cam, torch.from_numpy(K), pixels, in_camera[:, 2]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_projection_agrees_with_opencv(seed):
    points, lidar2cam, K, _, depth = scene(seed, skewness=0.)  # OpenCV knows no skew
    R, t = lidar2cam[:3, :3].numpy(), lidar2cam[:3, 3].numpy()
    expected, _ = cv2.projectPoints(points.numpy(), cv2.Rodrigues(R)[0], t, K.numpy(), None)
    pixels, actual_depth = camera.project_points(points, lidar2cam, K)
    ahead = depth > camera.MIN_PROJECTION_DEPTH
    np.testing.assert_allclose(pixels.numpy()[ahead], expected[ahead, 0], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(actual_depth.numpy(), depth, atol=1e-12)


def test_projection_behind_the_camera_is_finite_without_gradient():
    K = torch.tensor([[300., 0., 256.], [0., 300., 80.], [0., 0., 1.]])
    points = torch.tensor([[1., 1., -5.], [1., 1., 0.], [0., 0., 0.], [1., 1., 5.]],
                          requires_grad=True)
    pixels, depth = camera.project_points(points, torch.eye(4), K)
    assert (pixels[:3] == -1).all()
    assert not camera.in_view(pixels, depth, 160, 512)[:3].any()
    gradient, = torch.autograd.grad(pixels.sum(), points)
    assert (gradient[:3] == 0).all() and (gradient[3] != 0).all()


def test_projection_gradients():
    points, lidar2cam, K, _, depth = scene(count=8)
    points = points[torch.from_numpy(depth > 1)].requires_grad_()
    inputs = (points, lidar2cam.requires_grad_(), K.requires_grad_())
    assert torch.autograd.gradcheck(lambda p, T, k: camera.project_points(p, T, k), inputs)


def test_projection_broadcasts_one_scan_over_views():
    points, lidar2cam, K, _, _ = scene()
    views = torch.stack([lidar2cam, lidar2cam])
    pixels, depth = camera.project_points(points, views, K.expand(2, 3, 3))
    assert pixels.shape == (2, 200, 2) and depth.shape == (2, 200)
    torch.testing.assert_close(pixels[1], camera.project_points(points, lidar2cam, K)[0])


def test_projection_is_not_autocast():
    points, lidar2cam, K, _, _ = scene()
    args = points.float(), lidar2cam.float(), K.float()
    exact, _ = camera.project_points(*args)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        pixels, _ = camera.project_points(*args)
    torch.testing.assert_close(pixels, exact)


@pytest.mark.parametrize('scale_u, scale_v', [(0.5, 0.5), (0.4127, 0.4278), (2., 3.)])
def test_resized_intrinsics_move_pixel_centres(scale_u, scale_v):
    points, lidar2cam, K, pixels, depth = scene()
    resized, _ = camera.project_points(points, lidar2cam,
                                       camera.resize_intrinsics(K, scale_u, scale_v))
    expected = (pixels + 0.5) * [scale_u, scale_v] - 0.5
    ahead = depth > 0.5
    np.testing.assert_allclose(resized.numpy()[ahead], expected[ahead], atol=1e-8)


def test_resized_intrinsics_follow_opencv_resize():
    # A soft blob, halved by OpenCV: its centre of mass moves as the intrinsics say.
    v, u = np.mgrid[:64, :96]
    image = np.exp(-((u - 41.)**2 + (v - 22.)**2) / 50)
    small = cv2.resize(image, (48, 32), interpolation=cv2.INTER_AREA)
    v, u = np.mgrid[:32, :48]
    centre = np.array([(u * small).sum(), (v * small).sum()]) / small.sum()
    K = torch.tensor([[100., 0., 41.], [0., 100., 22.], [0., 0., 1.]])
    np.testing.assert_allclose(centre, camera.resize_intrinsics(K, 0.5, 0.5)[:2, 2], atol=1e-2)


def test_cropped_intrinsics_shift_pixels():
    points, lidar2cam, K, pixels, depth = scene()
    cropped, _ = camera.project_points(points, lidar2cam, camera.crop_intrinsics(K, 13, 50))
    ahead = depth > 0.5
    np.testing.assert_allclose(cropped.numpy()[ahead], pixels[ahead] - [13, 50], atol=1e-8)


def test_flip_mirrors_image_points_and_calibration_together():
    points, lidar2cam, K, pixels, depth = scene()
    flipped = camera.flip_extrinsics(lidar2cam)
    assert torch.linalg.det(flipped[:3, :3]).item() == pytest.approx(1)
    mirrored, new_depth = camera.project_points(camera.flip_points(points), flipped,
                                                camera.flip_intrinsics(K, WIDTH))
    ahead = depth > 0.5
    np.testing.assert_allclose(new_depth.numpy(), depth, atol=1e-12)
    np.testing.assert_allclose(mirrored.numpy()[ahead, 0], WIDTH - 1 - pixels[ahead, 0],
                               atol=1e-8)
    np.testing.assert_allclose(mirrored.numpy()[ahead, 1], pixels[ahead, 1], atol=1e-8)


def test_flipping_twice_changes_nothing_and_inputs_stay():
    points, lidar2cam, K, _, _ = scene()
    points = torch.cat([points, torch.rand(200, 1)], dim=1)
    before = points.clone(), lidar2cam.clone(), K.clone()
    torch.testing.assert_close(camera.flip_points(camera.flip_points(points)), points)
    torch.testing.assert_close(camera.flip_extrinsics(camera.flip_extrinsics(lidar2cam)),
                               lidar2cam)
    torch.testing.assert_close(camera.flip_intrinsics(camera.flip_intrinsics(K, 99), 99), K)
    camera.crop_intrinsics(K, 1, 1)
    for value, old in zip((points, lidar2cam, K), before):
        assert torch.equal(value, old)


@pytest.mark.parametrize('height, width, stride', [(160, 512, 4), (64, 208, 16), (30, 50, 8)])
def test_cell_centres_are_the_mean_pixels_of_their_cells(height, width, stride):
    grid = CellGrid(height, width, stride)
    centres = grid.centres(torch.float64)
    rows, columns = grid.shape
    assert centres.shape == (rows, columns, 2)
    for i, j in ((0, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)):
        u = np.arange(j * stride, (j + 1) * stride).mean()
        v = np.arange(i * stride, (i + 1) * stride).mean()
        assert centres[i, j].tolist() == [u, v]


def test_cells_match_the_maps_of_strided_convolutions():
    image = torch.zeros(1, 1, 30, 50)
    for _ in range(3):
        image = torch.nn.functional.conv2d(image, torch.ones(1, 1, 3, 3), stride=2, padding=1)
    assert image.shape[2:] == CellGrid(30, 50, 8).shape


def test_cell_centres_agree_with_resized_intrinsics():
    # The pixel of a point in the stride-4 map's own camera, and its cell's centre in the image.
    points, lidar2cam, K, pixels, depth = scene()
    on_map, _ = camera.project_points(points, lidar2cam, camera.resize_intrinsics(K, 1 / 4, 1 / 4))
    cell = on_map.round()
    centre = (cell + 0.5) * 4 - 0.5
    ahead = depth > 0.5
    assert np.abs(centre.numpy() - pixels)[ahead].max() <= 2 + 1e-6


def test_in_view_bounds_are_pixel_edges():
    eps = 1e-9
    pixels = torch.tensor([[-0.5, -0.5], [-0.5 - eps, 0], [0, -0.5 - eps], [7.5 - eps, 3.5 - eps],
                           [7.5, 0], [0, 3.5], [3, 2], [3, 2], [float('nan'), 0]],
                          dtype=torch.float64)
    depth = torch.tensor([1., 1, 1, 1, 1, 1, 1, 0.1, 1])
    expected = [True, False, False, True, False, False, True, False, False]
    assert camera.in_view(pixels, depth, 4, 8).tolist() == expected


def draw(count=60, views=4, seed=0):
    """Random pixels in and around the image, of which the last view sees none."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([GRID.width, GRID.height])
    pixels = torch.rand(views, count, 2, generator=generator, dtype=torch.float64)
    pixels = pixels * (size + 20) - 10
    depth = torch.randn(views, count, generator=generator)
    visible = camera.in_view(pixels, depth, GRID.height, GRID.width)
    visible[-1] = False
    return pixels, visible


@pytest.mark.parametrize('dilate', [0, 1, 2])
def test_overlap_agrees_with_brute_force(dilate):
    pixels, visible = draw()
    labels = GRID.covered(pixels, visible, dilate)
    expected = np.zeros((4, 8, 13), dtype=bool)
    for k, n in visible.nonzero().tolist():
        j, i = ((pixels[k, n] + 0.5) // GRID.stride).int().tolist()
        expected[k, max(i - dilate, 0):i + dilate + 1, max(j - dilate, 0):j + dilate + 1] = True
    assert labels.dtype == torch.bool
    np.testing.assert_array_equal(labels.numpy(), expected)
    assert not labels[3].any() and labels[:3].any()


def test_overlap_of_nothing_is_empty():
    pixels, visible = draw()
    assert not GRID.covered(pixels, visible & False).any()
    assert not GRID.covered(pixels[:, :0], visible[:, :0]).any()


def test_nearest_cell_agrees_with_brute_force():
    pixels, visible = draw(count=500, seed=1)
    cell, distance = GRID.nearest(pixels[visible])
    centres = GRID.centres(torch.float64).view(-1, 2)
    expected_distance, expected = torch.cdist(pixels[visible], centres).min(1)
    torch.testing.assert_close(distance, expected_distance, atol=1e-4, rtol=0)
    assert torch.equal(cell, expected)
    assert distance.max() <= GRID.stride / 2**0.5 + 1e-4


def test_nearest_cell_of_pixels_outside_lies_on_the_border():
    pixels = torch.tensor([[[-9., -9.], [999., 999.]]])
    cell, distance = GRID.nearest(pixels)
    assert cell.tolist() == [[0, 8 * 13 - 1]]
    assert (distance > GRID.stride).all()
