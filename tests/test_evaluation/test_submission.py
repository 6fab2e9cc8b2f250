import importlib.util
import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.registry import METRICS

from nclr_plugin.errors import DataLayoutError
from nclr_plugin.evaluation import (NuScenesSubmission, SemanticKittiPanopticSubmission,
                                    SemanticKittiSubmission)
from nclr_plugin.evaluation.submission import SEMANTICKITTI_IDS, SEMANTICKITTI_SCANS


def sample(path, classes):
    return dict(lidar_path=str(path),
                pred_pts_seg=dict(pts_semantic_mask=torch.tensor(classes)))


def scan(path, count, dim):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.zeros((count, dim), np.float32).tofile(path)
    return path


@pytest.fixture
def kitti(tmp_path):
    """Two scans, and a metric that writes to ``out``."""
    scans = [scan(tmp_path / f'data/sequences/{sequence}/velodyne/00000{sequence[1]}.bin', 19, 4)
             for sequence in ('11', '21')]
    return scans, SemanticKittiSubmission(str(tmp_path / 'out')), tmp_path / 'out'


def test_semantickitti_files(kitti):
    scans, metric, out = kitti
    metric.process(None, [sample(scans[0], list(range(19))), sample(scans[1], [8] * 19)])
    assert metric.evaluate(2) == dict(scans=2, missing=20351 - 2)
    assert sorted(str(path.relative_to(out)) for path in out.rglob('*.label')) == [
        'sequences/11/predictions/000001.label', 'sequences/21/predictions/000001.label']
    labels = np.fromfile(out / 'sequences/11/predictions/000001.label', np.uint32)
    assert len(np.unique(labels)) == 19
    assert (np.fromfile(out / 'sequences/21/predictions/000001.label', np.uint32) == 40).all()


def test_scans_that_the_server_expects_are_counted(kitti, warnings):
    scans, metric, out = kitti
    metric.process(None, [sample(path, [0] * 19) for path in scans])
    metric.evaluate(2)
    text, = warnings
    assert 'incomplete' in text and f'{20351 - 2} scans are missing' in text
    assert '11 has 1 of 921' in text and '15 has 0 of 1901' in text


def test_a_whole_test_set_is_complete(kitti):
    _, metric, _ = kitti
    whole = [('', f'sequences/{sequence}/velodyne/{number:06d}.bin')
             for sequence, scans in SEMANTICKITTI_SCANS.items() for number in range(scans)]
    assert len(whole) == 20351 and metric.shortage(whole) == (0, '')
    assert metric.shortage(whole[1:]) == (1, '11 has 920 of 921')
    assert metric.shortage(whole[1:] + [whole[1]])[0] == 1  # twice the same is one


def test_key_frames_of_nuscenes_are_counted_by_its_tables(nuscenes):
    root, metric, out, scans = nuscenes
    metric = NuScenesSubmission(str(out), str(root), 'v1.0-mini', 'test')
    expected = len(metric.tokens)
    assert metric.shortage([('', str(path)) for path in scans])[0] == expected - len(scans)
    assert metric.shortage([('', name) for name in metric.tokens])[0] == 0


def test_raw_labels_map_back_to_the_classes(kitti):
    if importlib.util.find_spec('mmdet3d') is None:
        pytest.skip('compares with mmdet3d, which is not installed')
    from mmengine.hub import get_config
    scans, metric, out = kitti
    metric.process(None, [sample(scans[0], list(range(19)))])
    config = get_config('mmdet3d::minkunet/'
                        'minkunet34_w32_spconv_8xb2-laser-polar-mix-3x_semantickitti.py')
    labels = np.fromfile(out / 'sequences/11/predictions/000001.label', np.uint32)
    assert [config.labels_map[int(label)] for label in labels] == list(range(19))
    # Of the labels of a class, the server lists the one that does not move.
    assert (labels < 252).all()


def test_files_that_do_not_fit_are_found(kitti):
    scans, metric, out = kitti
    path = out / 'sequences/11/predictions/000001.label'
    metric.process(None, [sample(scans[0], [0] * 18)])
    with pytest.raises(DataLayoutError, match=f'{path}.*expected 19 labels, 76 bytes.*found 72'):
        metric.evaluate(1)
    metric.process(None, [sample(scans[0], [0] * 19)])
    np.full(19, 7, np.uint32).tofile(path)
    with pytest.raises(DataLayoutError, match=r'000001.label.*found \[7\]'):
        metric.evaluate(1)
    metric.process(None, [sample(scans[0], [0] * 19)])
    path.unlink()
    with pytest.raises(DataLayoutError, match='000001.label.*found none'):
        metric.evaluate(1)


@pytest.fixture(scope='module')
def nuscenes_world(tmp_path_factory):
    """A demo world: two scans of the validation split, with all tables of nuScenes."""
    from nclr_plugin.demo.generate import generate
    from nclr_plugin.demo.layouts.base import DemoOptions
    root = tmp_path_factory.mktemp('world') / 'nuscenes'
    generate(str(root), 'nuscenes', DemoOptions(
        scenes=1, val_scenes=2, towns=1, azimuths=128, image_size=(64, 36)))
    return root


@pytest.fixture
def nuscenes(nuscenes_world, tmp_path):
    out = tmp_path / 'out'
    metric = NuScenesSubmission(str(out), str(nuscenes_world), 'v1.0-mini', 'mini_val')
    table = json.loads((nuscenes_world / 'v1.0-mini' / 'sample_data.json').read_text())
    scenes = {row['token']: row['name'] for row in json.loads(
        (nuscenes_world / 'v1.0-mini' / 'scene.json').read_text())}
    scene_of = {row['token']: scenes[row['scene_token']] for row in json.loads(
        (nuscenes_world / 'v1.0-mini' / 'sample.json').read_text())}
    scans = [nuscenes_world / row['filename'] for row in table
             if 'LIDAR_TOP' in row['filename']
             and scene_of[row['sample_token']] in ('scene-0103', 'scene-0916')]
    return nuscenes_world, metric, out, scans


def predict(metric, scans):
    for path in scans:
        count = path.stat().st_size // 20
        metric.process(None, [sample(path, [k % 16 for k in range(count)])])


def test_nuscenes_devkit_accepts_the_files(nuscenes):
    devkit = pytest.importorskip('nuscenes.eval.lidarseg.validate_submission')
    from nuscenes import NuScenes
    root, metric, out, scans = nuscenes
    predict(metric, scans)
    assert metric.evaluate(len(scans)) == dict(scans=2, missing=0)
    devkit.validate_submission(
        NuScenes('v1.0-mini', str(root), verbose=False), str(out), 'mini_val')
    labels = np.fromfile(next((out / 'lidarseg/mini_val').iterdir()), np.uint8)
    assert labels[:16].tolist() == list(range(1, 17))


def test_nuscenes_files_that_do_not_fit_are_found(nuscenes):
    _, metric, out, scans = nuscenes
    predict(metric, scans)
    path = next((out / 'lidarseg/mini_val').iterdir())
    labels = np.fromfile(path, np.uint8)
    labels[3] = 0
    labels.tofile(path)
    with pytest.raises(DataLayoutError, match=r'found \[0\]'):
        metric.evaluate(len(scans))


def test_nuscenes_tables_and_scans_belong_together(nuscenes, tmp_path):
    root, metric, _, scans = nuscenes
    other = tmp_path / 'other.pcd.bin'
    shutil.copy(scans[0], other)
    with pytest.raises(DataLayoutError, match='other.pcd.bin.*key frame'):
        predict(metric, [other])
    with pytest.raises(FileNotFoundError, match='v1.0-test/sample_data.json'):
        NuScenesSubmission('out', str(root))


@pytest.fixture
def panoptic(tmp_path):
    """Metric that writes panoptic labels."""
    return SemanticKittiPanopticSubmission(str(tmp_path / 'out'))


def prediction(semantic, instance):
    return dict(pts_semantic_mask=torch.tensor(semantic), pts_instance_mask=torch.tensor(instance))


def test_bits_of_panoptic_labels(panoptic):
    labels = panoptic.labels(prediction([0, 4, 8, 18], [65535, 3, 0, 0]), 'scan.label')
    assert labels.dtype == np.uint32
    assert labels.tobytes()[:4] == bytes([10, 0, 255, 255])  # car, instance in the upper 16 bits
    assert labels.tolist() == [65535 << 16 | 10, 3 << 16 | 20, 40, 81]
    panoptic.check_labels('scan.label', labels)


def test_every_panoptic_file_is_written_and_checked(tmp_path):
    rng = np.random.default_rng(0)
    metric = METRICS.build(dict(type='SemanticKittiPanopticSubmission', out_dir=str(tmp_path)))
    expected = {}
    for stem in ('000000', '000007'):
        velodyne = tmp_path / 'data' / 'sequences' / '11' / 'velodyne'
        velodyne.mkdir(parents=True, exist_ok=True)
        rng.random((50, 4)).astype(np.float32).tofile(velodyne / f'{stem}.bin')
        semantic = rng.integers(0, 19, 50)
        instance = np.where(semantic < 8, semantic + 1, 0)
        expected[stem] = semantic, instance
        metric.process({}, [dict(
            lidar_path=str(velodyne / f'{stem}.bin'),
            pred_pts_seg=dict(pts_semantic_mask=torch.from_numpy(semantic),
                              pts_instance_mask=torch.from_numpy(instance)))])
    assert metric.compute_metrics(metric.results) == dict(scans=2, missing=20351 - 2)
    for stem, (semantic, instance) in expected.items():
        labels = np.fromfile(tmp_path / f'sequences/11/predictions/{stem}.label', np.uint32)
        np.testing.assert_array_equal(labels & 0xFFFF, np.array(SEMANTICKITTI_IDS)[semantic])
        np.testing.assert_array_equal(labels >> 16, instance)


@pytest.mark.parametrize('instance', [65536, -1])
def test_instances_that_do_not_fit(panoptic, instance):
    with pytest.raises(DataLayoutError, match='scan.label.*instances from 0 to 65535'):
        panoptic.labels(prediction([0], [instance]), 'scan.label')


@pytest.mark.parametrize('labels, points, message', [
    ([10, 10], 3, 'expected 3 labels'), ([10, 252], 2, 'labels of'),
    ([1 << 16 | 10, 1 << 16 | 30], 2, r'several for \[1\]')])
def test_broken_panoptic_files(panoptic, tmp_path, labels, points, message):
    path = tmp_path / 'scan.label'
    np.array(labels, np.uint32).tofile(path)
    with pytest.raises(DataLayoutError, match=message):
        panoptic.compute_metrics([(str(path), str(scan(tmp_path / 'scan.bin', points, 4)))])
