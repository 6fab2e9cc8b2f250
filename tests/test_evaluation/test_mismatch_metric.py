"""Scores of true and of mismatched pairs."""
import numpy as np
import pytest
import torch

from nclr_plugin.evaluation import (MismatchMetric, PhotometricConsistency, auroc, mismatch_metric,
                                    rejection)

CAM2IMG = np.array([[100., 0, 79.5], [0, 100., 39.5], [0, 0, 1]])


@pytest.fixture
def wall():
    """An image of square tiles, and a scan of a wall 10 m ahead that shows them, every second row
    of tiles 4 m nearer."""
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (10, 20, 3))
    image = np.kron(tiles, np.ones((8, 8, 1))).astype(np.uint8)
    pixels = rng.uniform([0, 0], [159, 79], (4000, 2))
    tile = tuple((np.rint(pixels) // 8).astype(int).T[::-1])
    depth = np.where(tile[0] % 2, 10., 6.)
    points = np.column_stack([(pixels - CAM2IMG[:2, 2]) / 100 * depth[:, None], depth,
                              tiles[tile].mean(-1) / 255])
    return image, points


def test_consistency_is_of_one_place(wall):
    image, points = wall
    pose = np.eye(4)
    own = PhotometricConsistency(image, points, CAM2IMG).score(pose)
    assert own > 0.7
    shifted = np.roll(image, (4, 4), axis=(0, 1))  # by half a tile
    assert PhotometricConsistency(shifted, points, CAM2IMG).score(pose) < own - 0.3
    noise = np.random.default_rng(1).integers(0, 256, image.shape, dtype=np.uint8)
    assert abs(PhotometricConsistency(noise, points, CAM2IMG).score(pose)) < own / 4
    turned = pose.copy()
    turned[:2, 3] = 0.35, 0.3  # by about half a tile
    assert PhotometricConsistency(image, points, CAM2IMG).score(turned) < own - 0.3


def test_consistency_does_not_depend_on_the_size_of_the_image(wall):
    image, points = wall
    found = []
    for factor in (5, 10):
        large = np.kron(image, np.ones((factor, factor, 1), np.uint8))
        matrix = CAM2IMG.copy()
        matrix[:2] *= factor
        matrix[:2, 2] += (factor - 1) / 2
        found.append(PhotometricConsistency(large, points, matrix).score(np.eye(4)))
    assert found[0] == pytest.approx(found[1], abs=0.05)


def test_nothing_in_view_agrees_with_nothing(wall):
    image, points = wall
    behind = np.diag([1., -1., -1., 1.])
    assert PhotometricConsistency(image, points, CAM2IMG).score(behind) == 0
    assert PhotometricConsistency(image, points[:30], CAM2IMG).score(np.eye(4)) == 0
    points[:, 3] = 0
    assert np.isfinite(PhotometricConsistency(image, points, CAM2IMG).score(np.eye(4)))


@pytest.mark.parametrize('decimals', [12, 1])
def test_rejection_by_counting(decimals):
    rng = np.random.default_rng(0)
    true = rng.random(57) < 0.5
    scores = np.round(rng.normal(true.astype(float)), decimals)
    found = rejection(scores, true, 0.9)
    passing = scores >= found.threshold
    assert passing[true].mean() >= 0.9
    assert found.rejected == pytest.approx((~passing[~true]).mean())
    higher = scores[scores > found.threshold].min()
    assert (scores[true] >= higher).mean() < 0.9
    for threshold, own, other in zip(*found[2:]):
        assert own == pytest.approx((scores[true] >= threshold).mean())
        assert other == pytest.approx((scores[~true] >= threshold).mean())
    # The area under these points is the AUROC.
    area = np.trapz([0, *found.accepted_true], [0, *found.accepted_other])
    assert area == pytest.approx(auroc(scores, true))
    with pytest.raises(ValueError, match='57 true ones among 57'):
        rejection(scores, np.ones(57, bool))


def evaluate(frames):
    metric = MismatchMetric()
    for image, points, valid, ratio, wrong in frames:
        batch = dict(inputs=dict(points=[torch.from_numpy(points)],
                                 imgs=[torch.from_numpy(image).permute(2, 0, 1)[None]]))
        metric.process(batch, [dict(
            cam2img=torch.from_numpy(CAM2IMG)[None], pred_lidar2cam=torch.eye(4)[None].double(),
            pred_valid=torch.tensor([valid]), pred_inlier_ratio=torch.tensor([ratio]),
            mismatched_image=wrong)])
    return metric.evaluate(len(frames)), metric


def test_mismatched_images_are_detected_by_their_consistency_only(wall):
    image, points = wall
    rng = np.random.default_rng(2)
    frames = [(image, points, True, 0.9, False)] * 5
    frames += [(rng.integers(0, 256, image.shape, dtype=np.uint8), points, True, 0.9, True)
               for _ in range(4)] + [(image, points, False, 0.9, True)]
    found, metric = evaluate(frames)
    assert found['mismatch/photometric_consistency_auroc'] == 1
    assert found['mismatch/photometric_consistency_rejected'] == 1
    assert found['mismatch/photometric_consistency_threshold'] > 0.5
    assert found['mismatch/inlier_ratio_auroc'] == pytest.approx(0.6)  # the one without a pose
    assert found['mismatch/inlier_ratio_rejected'] == pytest.approx(0.2)
    assert set(metric.roc) == {'photometric_consistency', 'inlier_ratio'}


def test_without_the_control_there_are_no_figures(wall):
    found, metric = evaluate([(*wall, True, 0.9, False)] * 2)
    assert found == {} and metric.roc == {}
    with pytest.raises(ValueError, match='accepted <= 1, found 0'):
        MismatchMetric(accepted=0)


def test_nothing_is_computed_without_the_control(wall, monkeypatch):
    monkeypatch.setattr(mismatch_metric, 'PhotometricConsistency', None)
    metric = MismatchMetric()
    metric.dataset_meta = dict(mismatched_image_control=False)
    image, points = (torch.from_numpy(value) for value in wall)
    batch = dict(inputs=dict(points=[points], imgs=[image.permute(2, 0, 1)[None]]))
    sample = dict(cam2img=torch.from_numpy(CAM2IMG)[None], pred_lidar2cam=torch.eye(4)[None],
                  pred_valid=torch.tensor([True]), pred_inlier_ratio=torch.tensor([0.9]))
    metric.process(batch, [sample])
    assert metric.evaluate(1) == {}
    metric.dataset_meta = dict(mismatched_image_control=True)
    with pytest.raises(TypeError, match='not callable'):
        metric.process(batch, [sample])
