"""Classes and instances from the label files of two data sets."""
import numpy as np
import pytest

from nclr_plugin.errors import BrokenFrameError
from nclr_plugin.datasets.transforms import LoadPanopticLabels
from nclr_plugin.datasets.transforms.panoptic_labels import panoptic_path

SEMANTIC = np.array([10, 252, 40, 0, 259])
INSTANCE = np.array([1, 40_000, 0, 0, 65_535])


def write_semantickitti(folder):
    path = folder / 'scan.label'
    (INSTANCE.astype(np.uint32) << 16 | SEMANTIC.astype(np.uint32)).tofile(path)
    return path


def write_nuscenes(folder, **arrays):
    for name in ('lidarseg', 'panoptic'):
        (folder / name / 'v1.0-mini').mkdir(parents=True)
    np.savez_compressed(folder / 'panoptic' / 'v1.0-mini' / 'abc_panoptic.npz', **arrays)
    return folder / 'lidarseg' / 'v1.0-mini' / 'abc_lidarseg.bin'


def load(layout, path, **results):
    return LoadPanopticLabels(layout).transform(
        dict(pts_semantic_mask_path=str(path), lidar_path='scan.bin', **results))


def test_semantickitti_with_large_instance_ids(tmp_path):
    results = load('semantickitti', write_semantickitti(tmp_path), points=np.zeros((5, 4)),
                   eval_ann_info={})
    np.testing.assert_array_equal(results['pts_semantic_mask'], SEMANTIC)
    np.testing.assert_array_equal(results['pts_instance_mask'], INSTANCE)
    np.testing.assert_array_equal(results['eval_ann_info']['pts_semantic_mask'], SEMANTIC)
    np.testing.assert_array_equal(results['eval_ann_info']['pts_instance_mask'], INSTANCE)


def test_nuscenes(tmp_path):
    path = write_nuscenes(tmp_path, data=np.array([17_003, 24_000, 0, 31_999], np.uint16))
    results = load('nuscenes', path)
    np.testing.assert_array_equal(results['pts_semantic_mask'], [17, 24, 0, 31])
    np.testing.assert_array_equal(results['pts_instance_mask'], [3, 0, 0, 999])
    assert 'eval_ann_info' not in results


def test_real_scan(shared_data):
    folder = shared_data / 'semantickitti_scan' / 'sequences' / '92' / 'labels'
    path = next(folder.iterdir())
    results = load('semantickitti', path)
    raw = np.fromfile(path, np.uint32)
    np.testing.assert_array_equal(
        results['pts_instance_mask'] * 65536 + results['pts_semantic_mask'], raw)


def test_bad_files(tmp_path):
    with pytest.raises(BrokenFrameError, match='absent.label.*found none'):
        load('semantickitti', tmp_path / 'absent.label')
    path = write_semantickitti(tmp_path)
    with pytest.raises(BrokenFrameError, match='each of the 6 points, found 5'):
        load('semantickitti', path, points=np.zeros((6, 4)))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BrokenFrameError, match='19 bytes'):
        load('semantickitti', path)
    with pytest.raises(BrokenFrameError, match="array 'data'"):
        load('nuscenes', write_nuscenes(tmp_path, other=np.zeros(3)))
    with pytest.raises(ValueError, match='lidarseg'):
        panoptic_path('labels/abc.label')
    with pytest.raises(ValueError, match='layout'):
        LoadPanopticLabels('kitti')
