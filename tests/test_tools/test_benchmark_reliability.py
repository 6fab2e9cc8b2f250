"""The table of verdicts, by a network that gives the pose that it is told."""
import argparse
from types import SimpleNamespace

import numpy as np
import pytest

from nclr_plugin.apis import CalibrationInputError
from benchmarks import reliability
from nclr_plugin.errors import DataLayoutError


class Known:
    """Knows the pose of every sample; what it says of an image is that image's first value."""

    truths, calls = {}, []

    def __init__(self, checkpoint, **limits):
        self.limits = limits

    def __call__(self, images, points, cam2img):
        score = float(images[0].flat[0]) / 255
        self.calls.append((len(images), points.shape[1], cam2img[0].shape))
        if not len(points):
            raise CalibrationInputError('an empty scan')
        pose = np.eye(4)
        pose[0, 3] = 0.25
        return [SimpleNamespace(valid=score > 0, reliable=score >= self.limits['min_consistency'],
                                photometric_consistency=score, edge_lead=4 * score,
                                inlier_ratio=0.5, lidar2cam=pose)]


@pytest.fixture
def arguments(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("test_dataloader = dict(dataset=dict(type='FourPairs', pipeline=[]))\n")
    parser = argparse.ArgumentParser()
    reliability.add_arguments(parser)
    return parser.parse_args([str(path), 'a.pth', 'b.pth', '--roc', str(tmp_path / 'out/roc.png'),
                              '--min-consistency', '0.2'])


@pytest.fixture
def four_pairs(monkeypatch):
    """Four frames, then the same scans with mismatched images; the brightness is the score."""
    def sample(score, points=5):
        return dict(imgs=[np.full((2, 2, 3), score, np.uint8)], points=np.zeros((points, 4)),
                    cam2img=np.eye(3)[None], lidar2cam=np.eye(4)[None])

    samples = [sample(score) for score in (200, 100, 60, 40)] + [
        sample(30), sample(70), sample(0), sample(90, points=0)]
    built = []
    monkeypatch.setattr(reliability.DATASETS, 'build', lambda cfg: built.append(cfg) or samples)
    monkeypatch.setattr(reliability, 'Calibrator', Known)
    return built


def test_verdicts_are_counted(arguments, four_pairs, capsys):
    reliability.main(arguments)
    printed = capsys.readouterr()
    assert printed.err.count('Counted as refused: an empty scan') == 2  # by two checkpoints
    table = printed.out.strip().splitlines()
    rows = [[cell.strip() for cell in line.split('|')[1:-1]]
            for line in table if line.startswith('|')]
    named = [dict(zip(rows[0], row)) for row in rows[2:]]
    assert [row['checkpoint'] for row in named] == ['a.pth', 'b.pth']
    for row in named:
        # From 0.2 of 255 on: 51. Of the wrong ones 70 passes; an unusable pair does not.
        assert row['true pairs accepted'] == '3 of 4'
        assert row['mismatched images refused'] == '3 of 4'
        # Of 16 comparisons, 60 and 40 lose against 70.
        assert row['AUROC of photometric consistency'] == f'{14 / 16:.3f}'
        assert row['AUROC of edge lead'] == row['AUROC of photometric consistency']
        assert row['RRE, RTE of the accepted, median'] == row['largest'] == '0.00 deg, 0.25 m'
    assert four_pairs[0].mismatched_image_control
    assert arguments.roc.is_file()


def test_scans_without_intensities(arguments, four_pairs):
    arguments.no_intensity = True
    Known.calls.clear()
    reliability.run_reliability(arguments)
    assert [columns for _, columns, _ in Known.calls] == [3] * 16


def test_the_scan_is_turned_about_its_sensor_and_nothing_else(arguments, four_pairs):
    pipeline = [dict(type=name) for name in (
        'LoadPoints', 'LoadImages', 'CropPoints', 'RandomRigidTransform', 'VoxelSample',
        'ResizeImages', 'PackCalibrationInputs')]
    pipeline[3]['translation'] = (10., 0., 10.)
    arguments.cfg_options = {'test_dataloader.dataset.pipeline': pipeline}
    reliability.run_reliability(arguments)
    assert [step['type'] for step in four_pairs[0].pipeline] == [
        'LoadPoints', 'LoadImages', 'RandomRigidTransform']
    assert four_pairs[0].pipeline[2].translation == (0., 0., 0.)


def test_nothing_is_accepted(arguments, four_pairs):
    arguments.min_consistency = 1.
    table = reliability.format_table(reliability.run_reliability(arguments))
    assert '0 of 4' in table and 'nan deg' in table


def test_a_test_set_that_is_not_there(arguments, tmp_path):
    arguments.config = 'configs/crossi2p/crossi2p_demo.py'
    arguments.cfg_options = {'test_dataloader.dataset.data_root': str(tmp_path / 'none')}
    with pytest.raises((DataLayoutError, FileNotFoundError), match='none'):
        reliability.run_reliability(arguments)
