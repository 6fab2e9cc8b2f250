"""Files for SemanticKITTI's panoptic server, read again."""
import numpy as np
import pytest
import torch
from mmengine.registry import METRICS

import nclr_plugin  # noqa: F401
from nclr_plugin.datasets.errors import DataLayoutError
from nclr_plugin.evaluation.panoptic_submission import check_panoptic, write_panoptic
from nclr_plugin.evaluation.submission import SEMANTICKITTI_IDS as IDS


def test_bits(tmp_path):
    path = str(tmp_path / 'scan.label')
    write_panoptic(path, np.array([0, 4, 8, 18]), np.array([65535, 3, 0, 0]), IDS)
    raw = (tmp_path / 'scan.label').read_bytes()
    assert raw[:4] == bytes([10, 0, 255, 255])  # car, instance in the upper 16 bits
    expected = [65535 << 16 | 10, 3 << 16 | 20, 40, 81]
    np.testing.assert_array_equal(np.frombuffer(raw, '<u4'), expected)
    check_panoptic(path, 4, IDS)


def test_every_file_is_written_and_checked(tmp_path):
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
        np.testing.assert_array_equal(labels & 0xFFFF, np.array(IDS)[semantic])
        np.testing.assert_array_equal(labels >> 16, instance)


@pytest.mark.parametrize('instance', [65536, -1])
def test_instances_that_do_not_fit(tmp_path, instance):
    with pytest.raises(DataLayoutError, match='instances from 0 to 65535'):
        write_panoptic(str(tmp_path / 'scan.label'), np.array([0]), np.array([instance]), IDS)


@pytest.mark.parametrize('labels, points, message', [
    ([10, 10], 3, 'expected 3 labels'), ([10, 252], 2, 'labels of'),
    ([1 << 16 | 10, 1 << 16 | 30], 2, r'several for \[1\]')])
def test_broken_files(tmp_path, labels, points, message):
    path = tmp_path / 'scan.label'
    np.array(labels, np.uint32).tofile(path)
    with pytest.raises(DataLayoutError, match=message):
        check_panoptic(str(path), points, IDS)
