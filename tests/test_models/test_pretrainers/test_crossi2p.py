"""CrossI2P assembled: losses, switches, stages, gradients, predictions, and that it learns."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS

pytest.importorskip('mmdet3d')
import nclr_plugin  # noqa: E402,F401
from networks import build, run  # noqa: E402
from nclr_plugin.demo import DemoOptions, generate  # noqa: E402
from nclr_plugin.geometry.se3 import rotation_error_geodesic_deg, translation_error  # noqa: E402
from nclr_plugin.models.heads.contrastive_head import Augmentation  # noqa: E402
from nclr_plugin.models.pretrainers.base import CalibrationModel  # noqa: E402
from nclr_plugin.models.pretrainers.features import GroundTruth  # noqa: E402

CONTRAST = {'loss_imid', 'loss_cmid'}
COARSE = {'loss_coarse_point', 'loss_coarse_pixel'}
FINE = {'loss_fine_point', 'loss_fine_pixel'}
POSE = {'loss_pose', 'loss_reprojection'}
EVERY = CONTRAST | COARSE | FINE | POSE | {'loss_overlap', 'loss_yaw'}


@pytest.fixture
def small():
    """Config of a small CrossI2P; any matches give a pose."""
    return dict(
        type='CrossI2P',
        data_preprocessor=dict(type='CalibrationDataPreprocessor', voxel_size=(0.5, 0.5, 0.5)),
        point_backbone=dict(type='DGCNN', channels=(8, 8, 16), out_channels=16, k=6),
        image_branch=dict(
            type='ResNetFPN', depth=18, base_channels=8, out_indices=(0, 1, 2), out_channels=16),
        transformer=dict(
            type='CoarseTransformer', num_heads=2, num_layers=1, ffn_channels=32),
        contrastive_head=dict(type='ContrastiveHead', out_channels=16),
        overlap_head=dict(type='OverlapHead', thresholds=(0., 0.)),
        yaw_head=dict(type='YawHead', embed_dims=16),
        matching_head=dict(type='MatchingHead', embed_dims=16, alignment=False),
        pose_head=dict(
            type='PoseHead', num_points=32, max_reprojection_error=1e9, max_iterations=100),
        embed_dims=24, superpoints=dict(num_groups=48, radius=4., group_size=16), num_samples=64)


def test_losses_are_finite_and_train_every_parameter(small, batch):
    model = build(small)
    losses, _ = run(model, batch, 'loss')
    assert set(losses) == EVERY
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values())
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('switch, missing', [
    (dict(contrastive_head=None), CONTRAST), (dict(transformer=None), COARSE),
    (dict(loss_weights=dict(pose=0.)), POSE), (dict(yaw_head=None), {'loss_yaw'}),
    (dict(overlap_head=None), {'loss_overlap'})])
def test_switches_of_table_3_take_out_their_losses(small, batch, switch, missing):
    losses, _ = run(build({**small, **switch}), batch, 'loss')
    assert set(losses) == EVERY - missing
    sum(losses.values()).backward()


def test_balancer_weighs_the_three_tasks(small, batch):
    balancer = dict(
        type='GradNorm',
        tasks=dict(contrastive=['loss_imid', 'loss_cmid'],
                   matching=['loss_coarse*', 'loss_fine*', 'loss_overlap', 'loss_yaw'],
                   pose=['loss_pose', 'loss_reprojection']),
        shared=['point_backbone.out', 'superpixel_pyramid.projections'])
    model = build({**small, 'loss_balancer': balancer})
    for _ in range(3):
        total, log = model.parse_losses(run(model, batch, 'loss')[0])
    total.backward()
    weights = [float(log[f'weight_{task}']) for task in balancer['tasks']]
    assert sum(weights) == pytest.approx(3, rel=1e-5) and weights != [1., 1., 1.]
    assert 'loss_balancer.weights' in model.state_dict()


def test_nclr_has_the_same_switch(config, batch):
    balancer = dict(
        type='GradNorm', shared=['image_branch.decoder'],
        tasks=dict(matching=['loss_point', 'loss_pixel'], overlap=['loss_overlap'],
                   pose=['loss_pose']))
    model = build({**config, 'loss_balancer': balancer})
    for _ in range(2):
        total, log = model.parse_losses(run(model, batch, 'loss')[0])
    total.backward()
    assert float(log['weight_matching']) != 1
    assert sum(float(log[f'weight_{task}']) for task in balancer['tasks']) == pytest.approx(3)


@pytest.mark.parametrize('name', ['loss_pose', 'loss_reprojection'])
@pytest.mark.parametrize('target', ['true', 'matched'])
def test_gradients_of_the_pose_reach_both_encoders(small, batch, name, target):
    model = build({**small, 'reprojection_target': target})
    losses, _ = run(model, batch, 'loss')
    losses[name].backward()
    for part in (model.point_backbone.layers[0].edge, model.image_branch.encoder.conv1,
                 model.transformer.layers[0].point_cross.v_proj):
        assert part.weight.grad.abs().sum() > 0


def test_superpoints_are_where_the_truth_says(small, batch):
    """Superpixel of a centre, visibility, and the patch of a point, by hand."""
    model = build(small)
    features, data = run(model, batch, 'tensor')
    inputs = data['inputs']
    truth = GroundTruth.project(inputs, features, model.overlap_dilation)
    pixels, visible = model.project_centres(inputs, features, truth)
    sampled, valid, patch = model.true_patches(inputs, features, truth, 16)
    width, stride, groups = 64, 16, features.groups
    assert visible.any()
    for view, scan in enumerate(inputs.view_batch_index.tolist()):
        k, pose = inputs.cam2img[view].double(), inputs.lidar2cam[view].double()
        for group in range(48):
            point = inputs.voxels.points[groups.centre[scan, group]].double()
            ray = k @ (pose[:3, :3] @ point + pose[:3, 3])
            uv = (ray / ray[2])[:2]
            inside = bool(ray[2] > 0.1 and -0.5 <= uv[0] < 63.5 and -0.5 <= uv[1] < 31.5)
            assert bool(visible[view, group]) == inside
            if inside:
                torch.testing.assert_close(pixels[view, group].double(), uv, rtol=1e-3, atol=1e-2)
        for column, use, cells in zip(sampled[view], valid[view], patch[view]):
            if use:
                row = int(features.view_voxels.idx[view, column])
                owner = int(groups.owner[row])
                assert owner // 48 == scan
                u, v = pixels[view, owner % 48].tolist()
                centre = [(int((x + 0.5) // stride) + 0.5) * stride - 0.5 for x in (u, v)]
                for cell in cells.nonzero()[:, 0].tolist():
                    i, j = divmod(cell, width // 4)
                    assert abs((j + 0.5) * 4 - 0.5 - centre[0]) < 8 + 2 * 4
                    assert abs((i + 0.5) * 4 - 0.5 - centre[1]) < 8 + 2 * 4
                assert cells.any()


def test_second_transformation_turns_and_scales_each_scan():
    augment = Augmentation(scale=0.3, jitter=0.)
    points, scan = torch.randn(20, 3).double(), torch.tensor([0] * 12 + [1] * 8)
    moved = augment(points, scan)
    ratios = []
    for number in range(2):
        a, b = points[scan == number], moved[scan == number]
        ratio = torch.pdist(b) / torch.pdist(a)
        torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(b[:, 2], a[:, 2] * ratio[0], rtol=1e-5, atol=1e-6)
        ratios.append(float(ratio[0]))
    assert ratios[0] != pytest.approx(ratios[1]) and 0.74 < min(ratios) < max(ratios) < 1.35


def test_prediction_has_the_fields_of_nclr(small, config, batch):
    fields = []
    config['overlap_head']['thresholds'] = (0., 0.)
    config['matching_head']['alignment'] = False
    config['pose_head']['max_iterations'] = 100
    config['num_test_points'] = small['num_test_points'] = 100
    for model in (build(small), build(config)):
        samples, _ = run(model, batch, 'predict', training=False)
        fields.append([set(sample.keys()) for sample in samples])
        assert all(sample.pred_valid.dtype == torch.bool for sample in samples)
        assert [len(sample.pred_matches) for sample in samples] == [2, 1]
    assert fields[0] == fields[1] and isinstance(build(small), CalibrationModel)


def test_matches_lie_in_the_patches_of_the_best_superpixels(small, batch):
    model = build({**small, 'patches': dict(top_k=1, margin=0, refine_radius=0)})
    features, data = run(model, batch, 'tensor', training=False)
    inputs = data['inputs']
    sampled = torch.arange(20).expand(3, -1)
    everywhere = torch.ones(3, 8 * 16, dtype=torch.bool)
    matches = model.match_points(inputs, features, sampled, everywhere)
    assert matches.valid.all()
    similarity = model.coarse_similarity(inputs, features)
    for view in range(3):
        for point in range(20):
            owner = int(features.groups.owner[features.view_voxels.idx[view, point]]) % 48
            i, j = divmod(int(similarity[view, owner].argmax()), 4)
            u, v = ((matches.pixels[view, point] + 0.5) // 16).tolist()
            assert (v, u) == (i, j)
    assert not model.match_points(inputs, features, sampled, ~everywhere).valid.any()


def test_one_target_is_wrong(small):
    with pytest.raises(ValueError, match='must be "true" or "matched", found "best"'):
        MODELS.build({**small, 'reprojection_target': 'best'})


def test_it_learns_one_frame(tmp_path, monkeypatch):
    """The demo configuration without DC finds the pose of a frame it was shown 40 times."""
    generate(str(tmp_path), 'semantickitti', DemoOptions(
        scenes=1, val_scenes=1, towns=1, image_size=(320, 96), azimuths=720))
    monkeypatch.setenv('NCLR_DEMO_ROOT', str(tmp_path))
    root = Path(__file__).resolve().parents[3]
    config = Config.fromfile(str(root / 'configs' / 'crossi2p' / 'crossi2p_demo.py'))
    config.train_dataloader.dataset.reader.sequences = ['00']
    config.train_dataloader.dataset.pipeline[4].num_points = 1024
    sample = DATASETS.build(config.train_dataloader.dataset)[0]
    config.model.update(loss_balancer=None, num_samples=128)
    config.model.superpoints.num_groups = 128
    batch = dict(inputs={key: [value] for key, value in sample['inputs'].items()},
                 data_samples=[sample['data_samples']])
    model = build(config.model)
    optimizer = torch.optim.AdamW(model.parameters(), 1.5e-3)
    for _ in range(40):
        losses, _ = run(model, batch, 'loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.)
        optimizer.step()
    found = run(model, batch, 'predict', training=False)[0][0]
    predicted, target = found.pred_lidar2cam, found.lidar2cam
    rotation = rotation_error_geodesic_deg(predicted[:, :3, :3], target[:, :3, :3])
    assert found.pred_valid.all() and float(rotation) < 1.5
    assert float(translation_error(predicted, target)) < 0.7
    assert np.isfinite(found.pred_reprojection_error).all()
