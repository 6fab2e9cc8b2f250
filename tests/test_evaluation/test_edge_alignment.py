"""The score of poses: highest at the true one, and the mean difference that it is described as."""
import numpy as np
import pytest
import torch
from rectangles import CAM2IMG, make_frame, off_by, true_pose

from nclr_plugin.evaluation.edge_alignment import EdgeAlignment

pytest.importorskip('cv2')
AXES = np.eye(6)[:, None] * np.array([[1.], [-1.]])


def total(parts=(1., 0.7), intensity=True, num_parts=1):
    """Scores at the true pose and at offsets along the axes, summed over frames."""
    pose = true_pose()
    offsets = AXES.reshape(-1, 6) * np.repeat((2., 0.4), 3)
    poses = torch.from_numpy(np.stack(
        [pose] + [off_by(pose, offset[:3], offset[3:]) for offset in offsets]))
    scores = 0
    for seed in range(4):
        image, points = make_frame(seed, pose)
        if not intensity:
            points[:, 3] = 0.3
        frame = EdgeAlignment(image, points, CAM2IMG, pose, 5., parts)
        scores = scores + frame.about(pose, 0.7, 500, num_parts)(poses)
    return scores


@pytest.mark.parametrize('parts, intensity', [((1., 0.7), True), ((1., 0.), True),
                                              ((0., 1.), True), ((1., 0.7), False)])
def test_the_true_pose_scores_highest(parts, intensity):
    scores = total(parts, intensity)[:, 0]
    assert scores[0] > 10 and (scores[1:] < scores[0] - 3).all()


def test_parts_of_the_image_add_up():
    parts = total(num_parts=4)
    assert parts.shape == (13, 4) and (parts[0] > 0).all()
    torch.testing.assert_close(parts.sum(1), total()[:, 0], rtol=1e-4, atol=1e-3)


def test_nothing_to_compare_scores_nothing():
    image, points = make_frame(0, true_pose())
    behind = np.diag([-1., -1., 1., 1.])
    for cloud in (points[:3], points @ behind.astype(np.float32)):
        frame = EdgeAlignment(image, cloud, CAM2IMG, true_pose(), 5.)
        assert (frame.about(true_pose(), 0.7, 500)(torch.from_numpy(true_pose()[None])) == 0).all()
    flat = EdgeAlignment(np.full_like(image, 90), points, CAM2IMG, true_pose(), 5.)
    score = flat.about(true_pose(), 0.7, 500)(torch.from_numpy(true_pose()[None]))
    assert score.abs().max() < 1e-3
