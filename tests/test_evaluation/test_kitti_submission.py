"""Prediction files of KITTI's detection server, read again and counted."""

import mmengine
import numpy as np
import pytest
import torch
from mmengine.registry import METRICS

from nclr_plugin.errors import DataLayoutError

structures = pytest.importorskip('mmdet3d.structures')
LIDAR2CAM = [[0., -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
CAM2IMG = [[700., 0, 600, 0], [0, 700, 180, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.fixture
def submit(tmp_path, monkeypatch):
    """Function: number of frames -> figures; every second frame has one car, the others none."""
    monkeypatch.setattr(mmengine, 'track_iter_progress', lambda values: values)

    def call(num_frames):
        camera = dict(CAM2=dict(lidar2cam=LIDAR2CAM, cam2img=CAM2IMG, height=375, width=1242))
        mmengine.dump(dict(metainfo={}, data_list=[
            dict(sample_idx=index, images=camera) for index in range(num_frames)]),
            str(tmp_path / 'infos.pkl'))
        metric = METRICS.build(dict(type='KittiSubmission', ann_file=str(tmp_path / 'infos.pkl'),
                                    out_dir=str(tmp_path / 'out')))
        metric.dataset_meta = dict(classes=['Pedestrian', 'Cyclist', 'Car'])
        for index in range(num_frames):
            boxes = torch.tensor([[20., 2, -1, 4, 1.6, 1.5, 0.3]])[:index % 2]
            metric.process({}, [dict(
                sample_idx=index, pred_instances={}, pred_instances_3d=dict(
                    bboxes_3d=structures.LiDARInstance3DBoxes(boxes),
                    scores_3d=torch.full((len(boxes), ), 0.75),
                    labels_3d=torch.full((len(boxes), ), 2)))])
        return metric.evaluate(num_frames)

    return call


def test_files_are_written_for_every_frame(submit, tmp_path, warnings):
    assert submit(5) == {'Kitti metric/frames': 5, 'Kitti metric/missing': 7513}
    files = sorted((tmp_path / 'out' / 'pred_instances_3d').iterdir())
    assert [path.name for path in files] == [f'{index:06d}.txt' for index in range(5)]
    assert files[0].read_text() == ''  # no objects, but a file
    name, *numbers = files[1].read_text().split()
    assert name == 'Car' and len(numbers) == 15 and numbers[-1] == '0.7500'
    np.testing.assert_allclose([float(number) for number in numbers[7:13]],
                               [1.5, 1.6, 4, -2, 1, 20], atol=1e-3)  # h, w, l, x, y, z
    warning, = warnings
    assert 'the submission is incomplete' in warning
    assert '7513 of 7518 frames are missing, such as 000005' in warning


def test_all_frames_are_enough(submit, monkeypatch, warnings):
    from nclr_plugin.evaluation import kitti_submission
    monkeypatch.setattr(kitti_submission, 'NUM_FRAMES', 6)
    assert submit(6)['Kitti metric/missing'] == 0 and not warnings
    assert submit(7)['Kitti metric/missing'] == 0 and not warnings


def test_the_server_expects_all_test_frames():
    from nclr_plugin.evaluation.kitti_submission import NUM_FRAMES
    assert NUM_FRAMES == 7518


@pytest.mark.parametrize('text, found', [
    ('Car -1 -1 0 0 0 0 0 0 0 0 0 0 0 0\n', 'line 1: expected a class and 15 finite'),
    ('Car -1 -1 0 0 0 0 0 0 0 0 0 0 0 0 nan\n', 'line 1'),
    ('Car -1 -1 0 0 0 0 0 0 0 0 0 0 0 0 1\nCar -1 -1 0 0 0 0 0 0 0 0 0 0 0 0 high\n', 'line 2'),
    (None, 'expected a file, found none'),
])
def test_a_bad_file_is_named(tmp_path, text, found):
    from nclr_plugin.evaluation.kitti_submission import check_boxes
    path = tmp_path / '000007.txt'
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataLayoutError, match=f'000007.txt.*{found}'):
        check_boxes(str(path))
