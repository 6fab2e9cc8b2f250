"""What the networks are given."""
import numpy as np
import pytest
import torch

from nclr_plugin.models.data_preprocessor import CalibrationDataPreprocessor, voxel_collate
from nclr_plugin.structures import CalibrationDataSample


def _batch(sizes=((2, 3, 8, 12), (1, 3, 8, 12))):
    torch.manual_seed(0)
    samples = []
    for views, *_ in sizes:
        sample = CalibrationDataSample()
        sample.lidar2cam = torch.eye(4, dtype=torch.float64).repeat(views, 1, 1)
        sample.cam2img = torch.eye(3, dtype=torch.float64).repeat(views, 1, 1)
        samples.append(sample)
    return dict(
        inputs=dict(
            points=[torch.randn(50, 4), torch.randn(40, 4)],
            imgs=[torch.randint(256, size, dtype=torch.uint8) for size in sizes]),
        data_samples=samples)


def test_images_are_normalised_and_views_know_their_scan():
    data = _batch()
    out = CalibrationDataPreprocessor(voxel_size=(1, 1, 1))(data)['inputs']
    image = data['inputs']['imgs'][1][0].numpy().astype(np.float64)
    expected = (image - np.array([123.675, 116.28, 103.53])[:, None, None]) / np.array(
        [58.395, 57.12, 57.375])[:, None, None]
    np.testing.assert_allclose(out.imgs[2], expected, rtol=1e-5)
    assert out.view_batch_index.tolist() == [0, 0, 1]
    assert out.lidar2cam.shape == (3, 4, 4) and out.cam2img.dtype == torch.float32
    assert out.voxels.batch_index.unique().tolist() == [0, 1]


def test_voxel_limit_holds_in_training_only():
    preprocessor = CalibrationDataPreprocessor(voxel_size=(.1, .1, .1), max_voxels=10)
    assert len(preprocessor(_batch(), training=True)['inputs'].voxels.feats) == 20
    assert len(preprocessor(_batch(), training=False)['inputs'].voxels.feats) > 20


def test_scans_voxelised_in_the_loader_are_taken_as_they_are():
    batch = _batch()
    samples = [dict(inputs=dict(points=points, imgs=imgs), data_samples=sample) for points, imgs,
               sample in zip(*batch['inputs'].values(), batch['data_samples'])]
    preprocessor = CalibrationDataPreprocessor(voxel_size=(.5, .5, 1), max_voxels=20)
    collated = voxel_collate(samples, voxel_size=(.5, .5, 1))
    assert collated['data_samples'] == batch['data_samples']
    for training in (False, True):
        outputs = []
        for data in (batch, collated):
            torch.manual_seed(0)
            outputs.append(preprocessor(data, training)['inputs'])
        for value, expected in zip(outputs[1].voxels[:-1], outputs[0].voxels[:-1]):
            assert torch.equal(value, expected)
        assert outputs[1].voxels.counts == outputs[0].voxels.counts
        assert torch.equal(outputs[1].imgs, outputs[0].imgs)
    with pytest.raises(ValueError, match=r'voxel_size: expected \(1, 1, 1\)'):
        CalibrationDataPreprocessor(voxel_size=(1, 1, 1))(collated)


def test_images_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match='height x width 8 x 12, 8 x 16; add ResizeImages'):
        CalibrationDataPreprocessor()(_batch(((1, 3, 8, 12), (1, 3, 8, 16))))


def test_works_without_ground_truth():
    data = _batch()
    for sample in data['data_samples']:
        del sample.lidar2cam
    out = CalibrationDataPreprocessor(voxel_size=(1, 1, 1))(data)['inputs']
    assert out.lidar2cam is None and out.cam2img.shape == (3, 3, 3)
