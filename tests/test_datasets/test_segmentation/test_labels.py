"""Classes and instances from the label files of two data sets."""
import numpy as np
import pytest

from nclr_plugin.datasets.segmentation import check_labels
from nclr_plugin.datasets.segmentation.labels import panoptic_path
from nclr_plugin.datasets import LoadPanopticLabels
from nclr_plugin.errors import BrokenFrameError, DataLayoutError

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


KNOWN = (0, 10, 40, 252)


def check(*files, **options):
    return check_labels([tuple(map(str, pair)) for pair in files], 4, 'uint32', **options)


def test_good_files(make_frame):
    files = [make_frame('00', number, [0, 10, 40, 252 + 2**16 * 7]) for number in range(3)]
    assert check(*files, known=KNOWN, offset=2**16) == 3


def test_label_file_shorter_than_its_scan(make_frame):
    scan, label = make_frame('00', 5, [40] * 10)
    np.full(7, 40, np.uint32).tofile(label)
    with pytest.raises(DataLayoutError) as error:
        check(make_frame('00', 1, [40] * 4), (scan, label))
    message = str(error.value)
    assert str(label) in message and str(scan) in message
    assert 'expected 10 labels' in message and 'found 7 (28 bytes' in message


def test_label_outside_the_map(make_frame):
    frame = make_frame('00', 0, [40, 2 + 2**16, 10, 300])
    with pytest.raises(DataLayoutError, match=rf"{frame[1]}.*\[0, 10, 40, 252\], found \[2, 300\]"):
        check(frame, known=KNOWN, offset=2**16)
    assert check(frame) == 1, 'without a map only sizes are compared'


def test_files_cut_off_in_the_middle_of_a_value(make_frame):
    scan, label = make_frame('00', 0, [40] * 4)
    label.write_bytes(label.read_bytes()[:-1])
    with pytest.raises(DataLayoutError, match=f'{label}.*rows of 4 bytes.*3 bytes after 3 rows'):
        check((scan, label))
    scan, label = make_frame('00', 0, [40] * 4)
    scan.write_bytes(scan.read_bytes()[:-4])
    with pytest.raises(DataLayoutError, match=f'{scan}.*rows of 16 bytes'):
        check((scan, label))


def test_absent_file(make_frame):
    scan, label = make_frame('00', 0, [40] * 4)
    label.unlink()
    with pytest.raises(FileNotFoundError, match=f'{label}.*create_infos'):
        check((scan, label))
