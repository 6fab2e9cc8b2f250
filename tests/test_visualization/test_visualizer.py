"""Frames of pretraining as mmdet3d's browse_dataset.py has them drawn."""
import numpy as np
import torch
from mmengine.registry import VISUALIZERS

from nclr_plugin.structures import CalibrationDataSample


def frame():
    points = torch.tensor([[0., 0., 5., 0.5], [1., 0., 10., 0.5]])
    sample = CalibrationDataSample(
        lidar2cam=torch.eye(4).double().repeat(2, 1, 1),
        cam2img=torch.tensor([[40., 0., 32.], [0., 40., 16.], [0., 0., 1.]]).double().repeat(
            2, 1, 1))
    sample.set_metainfo(dict(view_names=['left', 'right']))
    return dict(points=points, imgs=torch.full((2, 3, 32, 64), 90, dtype=torch.uint8)), sample


def test_the_scripts_call_writes_a_picture_with_all_views(tmp_path):
    import cv2
    inputs, sample = frame()
    visualizer = VISUALIZERS.build(dict(type='CalibrationVisualizer', vis_backends=[]))
    visualizer.dataset_meta = {}
    visualizer.add_datasample('a frame', inputs, data_sample=sample.numpy(), show=False,
                              wait_time=0, o3d_save_path=None, vis_task='lidar_det',
                              out_file=str(tmp_path / '0.jpg'))
    picture = cv2.imread(str(tmp_path / '0.png'))
    half = len(picture) // 2
    for view in (picture[:half], picture[half:]):
        coloured = np.ptp(view[:, :-150].astype(int), axis=2) > 60  # left of the bar of depths
        assert coloured.any()


def test_without_a_file_it_goes_to_the_back_ends(tmp_path):
    inputs, sample = frame()
    visualizer = VISUALIZERS.build(dict(
        type='CalibrationVisualizer', name='to back ends', save_dir=str(tmp_path),
        vis_backends=[dict(type='LocalVisBackend')]))
    visualizer.add_datasample('frame', inputs, sample, step=3)
    assert [path.name for path in tmp_path.rglob('*.png')] == ['frame_3.png']
