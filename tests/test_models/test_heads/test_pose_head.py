"""Training pose and test-time pose."""
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from nclr_plugin.models.heads import PoseHead


def _views(num_views=3, num_points=40, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    cam2img = np.array([[300., 0, 255.5], [0, 300, 79.5], [0, 0, 1]])
    camera = rng.uniform([-4, -1, 5], [4, 1, 25], (num_views, num_points, 3))
    pixels = camera @ cam2img.T
    pixels = pixels[..., :2] / pixels[..., 2:] + rng.normal(0, noise, (num_views, num_points, 2))
    R = Rotation.random(num_views, random_state=seed).as_matrix()
    t = rng.uniform(-5, 5, (num_views, 3))
    points = np.einsum('vji,vnj->vni', R, camera - t[:, None])
    lidar2cam = np.tile(np.eye(4), (num_views, 1, 1))
    lidar2cam[:, :3, :3], lidar2cam[:, :3, 3] = R, t
    return [torch.from_numpy(a) for a in (points, pixels, np.tile(cam2img, (num_views, 1, 1)),
                                          lidar2cam)]


def test_loss_falls_with_noise_and_pulls_pixels_to_the_truth():
    head = PoseHead()
    losses = {}
    for noise in (0., 4.):
        points, pixels, cam2img, lidar2cam = _views(noise=noise)
        pixels.requires_grad_()
        valid = torch.ones(3, 40, dtype=torch.bool)
        losses[noise] = head.loss(points, pixels, valid, cam2img, lidar2cam)
        assert head.solve(points, pixels, valid, cam2img).valid.all()
    assert losses[0.] < 1e-8 < losses[4.]
    losses[4.].backward()
    step = pixels - 0.5 * pixels.grad / pixels.grad.norm()
    again = head.loss(points, step.detach(), valid, cam2img, lidar2cam)
    assert again < losses[4.]


def test_views_with_too_few_matches_have_no_pose_and_no_gradient():
    points, pixels, cam2img, lidar2cam = _views()
    valid = torch.ones(3, 40, dtype=torch.bool)
    valid[1, 5:] = False
    pixels.requires_grad_()
    head = PoseHead(min_points=8)
    head.loss(points, pixels, valid, cam2img, lidar2cam).backward()
    assert head.solve(points, pixels, valid, cam2img).valid.tolist() == [True, False, True]
    assert (pixels.grad[1] == 0).all() and pixels.grad[0].abs().sum() > 0


def test_prediction_is_robust_to_wrong_matches():
    points, pixels, cam2img, lidar2cam = _views(num_views=1, num_points=400, noise=0.3)
    points, pixels = points[0], pixels[0]
    pixels[200:] = torch.rand(200, 2).double() * torch.tensor([512., 160.])
    pose = PoseHead().predict(points, pixels, cam2img[0])
    assert pose.success and pose.inliers[:200].float().mean() > 0.95
    assert len(pose.inliers) == 400 and pose.inliers[200:].float().mean() < 0.05
    torch.testing.assert_close(pose.t.double(), lidar2cam[0, :3, 3], atol=0.1, rtol=0)


def test_fields_of_a_view_without_a_pose_are_those_of_the_identity():
    points, pixels, cam2img, lidar2cam = _views(num_views=2, noise=0.3)
    head = PoseHead(min_points=8)
    poses = [head.predict(points[0], pixels[0], cam2img[0]),
             head.predict(points[1, :7], pixels[1, :7], cam2img[1])]
    assert poses[1] is None
    fields = head.fields(poses)
    assert fields['pred_valid'].tolist() == [True, False]
    torch.testing.assert_close(fields['pred_lidar2cam'][0], lidar2cam[0], atol=0.1, rtol=0)
    assert torch.equal(fields['pred_lidar2cam'][1], torch.eye(4, dtype=torch.float64))
    assert fields['pred_inlier_ratio'][0] > 0.9 and fields['pred_inlier_ratio'][1] == 0
    assert 0 < fields['pred_reprojection_error'][0] < 1
    assert fields['pred_reprojection_error'][1].isnan()
