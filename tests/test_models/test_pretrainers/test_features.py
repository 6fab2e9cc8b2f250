"""Ground truth, and what predict() adds for metrics and pictures."""
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
import networks  # noqa: E402
import nclr_plugin  # noqa: E402,F401
from nclr_plugin.geometry.camera import CellGrid  # noqa: E402
from nclr_plugin.models.pretrainers import base  # noqa: E402
from nclr_plugin.models.pretrainers.features import Features, GroundTruth  # noqa: E402
from nclr_plugin.structures import inspection  # noqa: E402
from nclr_plugin.utils.devices import set_sparse_algorithm  # noqa: E402


def build(config):
    torch.manual_seed(0)
    model = MODELS.build(config).eval()
    set_sparse_algorithm(model, 'cpu')
    return model


@pytest.fixture
def predicted(config, batch):
    """A model whose alignment is not the identity, its inputs, features and samples."""
    config['overlap_head'].update(thresholds=(0.0, 0.0))
    model = build(config)
    with torch.no_grad():
        model.matching_head.alignment_weight.add_(0.5 * torch.randn(16, 16))
        data = model.data_preprocessor(batch, False)
        features = model(**data, mode='tensor')
        samples = model.predict(data['inputs'], features, data['data_samples'])
    return model, data['inputs'], features, [BaseDataElement(**inspection(s)) for s in samples]


def test_ground_truth_is_the_projection_of_every_voxel(config, batch):
    model = networks.build(config)
    features, data = networks.run(model, batch, 'tensor')
    inputs = data['inputs']
    truth = GroundTruth.project(inputs, features, model.overlap_dilation)
    for view in range(3):
        scan = inputs.view_batch_index[view]
        points = inputs.voxels.points[inputs.voxels.batch_index == scan].double().numpy()
        pose, k = inputs.lidar2cam[view].double().numpy(), inputs.cam2img[view].numpy()
        camera = points @ pose[:3, :3].T + pose[:3, 3]
        pixel = camera @ k.T
        inside = camera[:, 2] > 0.1
        uv = pixel[:, :2] / np.where(inside, pixel[:, 2], 1)[:, None]
        inside &= (uv > -0.5).all(1) & (uv[:, 0] < 63.5) & (uv[:, 1] < 31.5)
        mask = features.view_voxels.mask[view]
        assert truth.visible[view, mask].tolist() == inside.tolist()
        np.testing.assert_allclose(truth.pixels[view, mask].numpy()[inside], uv[inside], atol=1e-3)
        cells = {(int((v + .5) // 4), int((u + .5) // 4)) for u, v in uv[inside]}
        assert truth.pixel_labels[view].sum() >= len(cells)
        assert all(truth.pixel_labels[view][cell] for cell in cells)


def test_centres_are_the_means_of_the_pixels_of_each_cell():
    grid = CellGrid(8, 12, 4)
    features = Features(None, None, torch.zeros(1, 6, 5), grid, None, None, None, None)
    v, u = torch.meshgrid(torch.arange(8.), torch.arange(12.), indexing='ij')
    pixels = torch.stack((u, v), -1).view(2, 4, 3, 4, 2).mean((1, 3)).view(-1, 2)
    torch.testing.assert_close(features.centres, pixels)


def test_projections_of_sampled_points_are_theirs():
    pixels = torch.rand(2, 7, 2)
    truth = GroundTruth(pixels, None, None)
    columns = torch.tensor([[6, 0, 0], [1, 2, 3]])
    expected = torch.stack([pixels[0, [6, 0, 0]], pixels[1, [1, 2, 3]]])
    assert torch.equal(truth.take_pixels(columns), expected)


def test_every_scan_has_its_voxels_and_overlap(predicted):
    model, inputs, features, samples = predicted
    truth = GroundTruth.project(inputs, features, model.overlap_dilation)
    view = 0
    for scan, sample in enumerate(samples):
        own = inputs.voxels.batch_index == scan
        torch.testing.assert_close(sample.voxel_points, inputs.voxels.points[own])
        embedded = model.matching_head.embed_points(
            features.points[own], inputs.voxels.relative_points[own])
        torch.testing.assert_close(sample.features.points, embedded)
        for v in range(len(sample.matchings)):
            assert torch.equal(sample.gt_point_overlap[v],
                               truth.visible[view][features.view_voxels.mask[view]])
            torch.testing.assert_close(
                sample.pred_point_overlap[v],
                features.point_logits[view][features.view_voxels.mask[view]].sigmoid())
            assert sample.pred_pixel_overlap[v].shape == sample.gt_pixel_overlap[v].shape
            view += 1
    assert view == 3


def test_matchings_agree_with_brute_force(predicted):
    model, inputs, features, samples = predicted
    centres = features.centres
    for sample in samples:
        for v, found in enumerate(sample.matchings):
            assert len(found.points) == int(sample.gt_point_overlap[v].sum())
            pixels, aligned = sample.features.pixels[v], sample.features.aligned_pixels[v]
            where = torch.cdist(found.points, sample.voxel_points).argmin(1)
            for name, p, i in (('cosine', sample.features.points, pixels),
                               ('learned', sample.features.aligned_points, aligned)):
                similarity = p[where] @ i.T
                torch.testing.assert_close(found.get(f'{name}_hard'),
                                           centres[similarity.argmax(1)])
                soft = (similarity / model.matching_head.match_temperature).softmax(1) @ centres
                torch.testing.assert_close(found.get(f'{name}_soft'), soft, atol=1e-2, rtol=0)
                nearest = torch.cdist(found.true_pixels, centres).argmin(1)
                torch.testing.assert_close(
                    found.get(f'{name}_similarity'),
                    torch.cosine_similarity(p[where], i[nearest]), atol=1e-4, rtol=0)


def test_without_alignment_and_overlap_detection(config, batch):
    config['overlap_head'] = None
    config['matching_head'].update(alignment=False)
    model = build(config)
    with torch.no_grad():
        samples = model(**model.data_preprocessor(batch, False), mode='predict')
    fields = inspection(samples[0])
    assert 'pred_point_overlap' not in fields and 'overlap_thresholds' not in fields
    found = fields['matchings'][0]
    assert 'cosine_hard' in found and 'learned_hard' not in found


def test_nothing_is_computed_until_it_is_asked_for_and_then_once_a_batch(
        config, batch, monkeypatch):
    calls = []
    inspect = base.inspect_features
    monkeypatch.setattr(
        base, 'inspect_features', lambda *args: calls.append(1) or inspect(*args))
    model = build(config)
    with torch.no_grad():
        samples = model(**model.data_preprocessor(batch, False), mode='predict')
    assert not calls and 'matchings' not in samples[0]
    for sample in samples:
        assert len(inspection(sample.to_dict())['matchings']) == len(sample.lidar2cam)
    assert calls == [1]
