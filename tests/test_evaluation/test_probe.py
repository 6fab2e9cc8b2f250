"""Probes of frozen features, against scikit-learn, and from end to end."""
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from nclr_plugin.datasets.segmentation import write_infos
from nclr_plugin.errors import DataLayoutError
from nclr_plugin.evaluation.probe import (KITTI_BOXES, SEMANTICKITTI, Probe, logistic_regression,
                                          knn_classification, scores)

REPO = Path(__file__).resolve().parents[2]


def _features(count, seed=0, dims=6, classes=4):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    centres = np.random.default_rng(9).normal(size=(classes, dims))
    feats = centres[labels] + rng.normal(size=(count, dims))
    return torch.tensor(feats, dtype=torch.float32), torch.from_numpy(labels)


def test_logistic_regression_is_that_of_scikit_learn():
    linear_model = pytest.importorskip('sklearn.linear_model')
    (train, labels), (val, _) = _features(400), _features(1000, seed=1)
    weight_decay = 1e-2
    predicted = logistic_regression(train, labels, val, 4, weight_decay)
    # scikit-learn sums the cross-entropy over the samples, and has C in front of it.
    reference = linear_model.LogisticRegression(C=1 / (weight_decay * len(train)), tol=1e-8,
                                                max_iter=1000).fit(train, labels)
    assert (predicted.numpy() == reference.predict(val)).mean() > 0.99


def test_neighbours_are_those_of_scikit_learn():
    neighbors = pytest.importorskip('sklearn.neighbors')
    (train, labels), (val, _) = _features(300), _features(500, seed=1)
    predicted = knn_classification(train, labels, val, 4, neighbours=7, chunk=64)
    reference = neighbors.KNeighborsClassifier(
        7, metric='cosine', weights=lambda distance: np.clip(1 - distance, 0, None))
    expected = reference.fit(train.numpy(), labels.numpy()).predict(val.numpy())
    assert (predicted.numpy() == expected).mean() > 0.99


def test_scores_are_those_of_scikit_learn():
    metrics = pytest.importorskip('sklearn.metrics')
    rng = np.random.default_rng(0)
    labels, predicted = rng.choice([0, 1, 3], 200), rng.integers(0, 5, 200)
    there = [0, 1, 3]
    iou = metrics.jaccard_score(labels, predicted, labels=there, average='macro')
    recall = metrics.recall_score(labels, predicted, labels=there, average='macro')
    found = scores(torch.from_numpy(predicted), torch.from_numpy(labels), 5)
    assert found == pytest.approx((100 * iou, 100 * recall))


def test_label_maps_are_those_of_the_data_sets():
    pytest.importorskip('mmdet3d.datasets')
    from mmengine.config import Config
    from mmengine.utils import get_installed_path

    from nclr_plugin.datasets.segmentation.datasets import KittiBoxesSegDataset
    cfg = Config.fromfile(os.path.join(
        get_installed_path('mmdet3d'), '.mim/configs/_base_/datasets/semantickitti.py'))
    expected = {raw: index for raw, index in cfg.metainfo.seg_label_mapping.items() if index < 19}
    # mmdet3d misspells two names and calls other vehicles buses.
    assert SEMANTICKITTI.raw == expected and len(SEMANTICKITTI.classes) == len(cfg.class_names)
    own = KittiBoxesSegDataset.METAINFO
    assert KITTI_BOXES.classes == own['classes']
    assert KITTI_BOXES.raw == {raw: index for raw, index in own['seg_label_mapping'].items()
                               if index < 5}


class _Backbone(nn.Module):
    """Features that are the voxel's values, or noise."""

    def __init__(self, noise):
        super().__init__()
        self.noise = noise

    def encode(self, feats, coors):
        self.seen = feats
        assert not self.training
        return [SimpleNamespace(features=torch.randn_like(feats) if self.noise else feats)]

    def decode(self, levels, features):
        return features


def _model(noise=False):
    model = nn.Module()
    model.point_backbone = _Backbone(noise)
    model.data_preprocessor = SimpleNamespace(voxel_size=(0.5, 0.5, 0.5),
                                              device=torch.device('cpu'))
    return model.train()


@pytest.fixture
def labelled(tmp_path):
    """Scans whose points are cars where the intensity is high, and other things elsewhere."""
    for part, numbers in (('train', range(4)), ('val', range(4, 6))):
        infos = []
        for number in numbers:
            rng = np.random.default_rng(number)
            points = rng.uniform([-20, -20, -2, 0], [20, 20, 1, 1], (3000, 4)).astype(np.float32)
            # Points of a voxel are alike, or no voxel would have one class.
            points[:, 3] = np.round(points[:, 0] / 4) % 2 + 0.1 * points[:, 3]
            labels = np.where(points[:, 3] > 0.5, 1, 5).astype(np.uint32) + 7 * 2**16
            labels[:500] = 0
            points.tofile(tmp_path / f'{number}.bin')
            labels.tofile(tmp_path / f'{number}.label')
            infos.append(dict(lidar_points=dict(lidar_path=f'{number}.bin'), sample_idx=str(number),
                              pts_semantic_mask_path=f'{number}.label'))
        write_infos(str(tmp_path / f'kitti_boxes_infos_{part}.pkl'), infos)
    return dict(data_root=str(tmp_path), dataset='kitti_boxes', train='kitti_boxes_infos_train.pkl',
                val='kitti_boxes_infos_val.pkl')


def test_informative_features_classify_and_noise_does_not(labelled):
    probe = Probe(**labelled, neighbours=5)
    good, noise = probe(_model()), probe(_model(noise=True))
    assert set(good) == {'linear_miou', 'linear_macc', 'knn_miou', 'knn_macc'}
    assert min(good.values()) > 90
    assert max(noise.values()) < 65 and 40 < noise['linear_macc'] < 60  # two classes in ``val``


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_an_intensity_that_is_not_finite_is_left_out(labelled, tmp_path, value):
    points = np.fromfile(tmp_path / '0.bin', np.float32).reshape(-1, 4)
    points[700, 3] = value
    points.tofile(tmp_path / '0.bin')
    assert min(Probe(**labelled, neighbours=5)(_model()).values()) > 90


def test_mode_and_random_numbers_are_left_alone(labelled):
    model = _model(noise=True)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    Probe(**labelled, num_scans=1)(model)
    assert torch.equal(torch.rand(3), expected) and model.point_backbone.training


def test_the_same_seed_gives_the_same_figures_and_another_one_others(labelled):
    def figures(seed):
        return Probe(**labelled, seed=seed, voxels_per_class=20)(_model())

    assert figures(0) == figures(0)
    assert figures(0) != figures(1)


def test_a_voxel_may_have_its_first_points_value_as_mmdet3d_takes_it(labelled, tmp_path):
    points = np.fromfile(tmp_path / '4.bin', np.float32).reshape(-1, 4)
    points[1] = points[0] + np.float32([0.01, 0, 0, 0.2])  # in the voxel of the first point
    points.tofile(tmp_path / '4.bin')
    intensity = {}
    for value in ('mean', 'first'):
        probe = Probe(**labelled, voxel_value=value)
        model = _model().eval()
        probe._voxels(model, *probe.files['val'][0])
        seen = model.point_backbone.seen
        intensity[value] = seen[:, 3]
        assert seen.shape[1] == 4
    own = points[0, 3]
    assert (intensity['first'] - own).abs().min() == 0
    assert set(np.float32(intensity['first'])) <= set(points[:, 3])
    assert not torch.equal(intensity['mean'], intensity['first'])


def test_scans_are_spread_over_the_list(labelled):
    probe = Probe(**labelled, num_scans=2)
    assert [os.path.basename(scan) for scan, _ in probe.files['train']] == ['0.bin', '2.bin']


def test_wrong_input_is_reported(labelled, tmp_path):
    with pytest.raises(ValueError, match="found 'nuscenes'"):
        Probe(**dict(labelled, dataset='nuscenes'))
    with pytest.raises(FileNotFoundError, match='nothing.pkl'):
        Probe(**dict(labelled, train='nothing.pkl'))
    for wrong in (dict(num_scans=0), dict(num_scans=-1), dict(neighbours=0)):
        with pytest.raises(ValueError, match='num_scans and neighbours of at least 1'):
            Probe(**labelled, **wrong)
    with pytest.raises(DataLayoutError, match="0.bin': expected points in .* found none of"):
        Probe(**labelled, point_cloud_range=(60, 60, -3, 80, 80, 1))(_model())
    for number in (4, 5):
        labels = np.fromfile(tmp_path / f'{number}.label', np.uint32)
        np.zeros(3000, np.uint32).tofile(tmp_path / f'{number}.label')
        if number == 5:
            with pytest.raises(DataLayoutError, match='labels in the validation scans, found none'):
                Probe(**labelled)(_model())
            labels.tofile(tmp_path / '5.label')
    for number in range(4):
        np.full(3000, 5, np.uint32).tofile(tmp_path / f'{number}.label')
    with pytest.raises(DataLayoutError, match='at least two classes, found 1'):
        Probe(**labelled)(_model())
    np.zeros(10, np.uint32).tofile(tmp_path / '5.label')
    with pytest.raises(DataLayoutError, match='expected 3000 labels.*found 10'):
        Probe(**labelled)


def test_command_line_from_a_config_without_its_data(labelled, tmp_path):
    pytest.importorskip('mmdet3d')
    pytest.importorskip('spconv')
    pytest.importorskip('mmdet')
    command = [sys.executable, str(REPO / 'tools/probe.py'),
               str(REPO / 'configs/nclr/nclr_minkunet_demo_transfer.py'),
               '--dataset', 'kitti_boxes',
               '--data-root', labelled['data_root'], '--scans', '2', '--seeds', '0', '1',
               '--out', str(tmp_path / 'out.json')]
    env = dict(os.environ, PYTHONPATH=str(REPO))
    found = subprocess.run(command, check=True, env=env, stdout=subprocess.PIPE,
                           universal_newlines=True).stdout
    rows = json.loads((tmp_path / 'out.json').read_text())['rows']
    assert [row['seed'] for row in rows] == [0, 1] and 'knn_miou' in found
    assert rows[0]['linear_miou'] != rows[1]['linear_miou']
    failed = subprocess.run([*command, '--train', 'nothing.pkl'], env=env, stderr=subprocess.PIPE,
                            universal_newlines=True)
    assert failed.returncode == 1 and 'nothing.pkl' in failed.stderr
    assert 'Traceback' not in failed.stderr
