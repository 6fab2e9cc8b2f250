from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.registry import MODELS

from nclr_plugin.engine import PictureHook
from nclr_plugin.evaluation import rejection
from nclr_plugin.visualization import compare_sample, plot_recall

CURVE = dict(rre=[0., .5, 1.], rte=[0., 1.], rre_thresholds=[0., 5., 10.], rte_thresholds=[0., 5.])


def test_pictures_by_kind_frame_and_camera(toy, tmp_path):
    hook = PictureHook(out_dir=str(tmp_path / 'pictures'), max_frames=3)
    toy.build_runner(tmp_path, [hook], **toy.test_part()).test()
    names = [f'toy_{i:02d}_cam.png' for i in range(3)]
    overlays = tmp_path / 'pictures' / 'overlay'
    assert sorted(path.name for path in overlays.iterdir()) == names
    item = toy.ToyFrames()[1]
    sample = item['data_samples']
    toy.ToyModel().forward({'points': [item['inputs']['points']]}, [sample], mode='predict')
    expected = compare_sample(item['inputs']['imgs'][0].permute(1, 2, 0).numpy(),
                              item['inputs']['points'], sample, 0)
    assert (cv2.imread(str(overlays / names[1]))[..., ::-1] == expected).all()


def test_what_a_model_does_not_predict_is_left_out(toy, tmp_path):
    hook = PictureHook(out_dir=str(tmp_path / 'pictures'), max_frames=1)
    toy.build_runner(tmp_path, [hook], **toy.test_part()).test()
    assert {path.name for path in (tmp_path / 'pictures').iterdir()} <= {
        'overlay', 'recall_curves', 'ranked'}


def test_best_median_and_worst_frame(toy, tmp_path):
    """Each overlay is that of the frame which the file of all views says it is."""
    @MODELS.register_module(force=True)
    class Erring(toy.ToyModel):
        """Frame i is 0.1 * ((5 i) mod 12) m off."""

        def forward(self, inputs, data_samples, mode='loss'):
            samples = super().forward(inputs, data_samples, mode)
            for sample in samples if mode == 'predict' else ():
                frame = int(sample.frame_id[-2:])
                sample.pred_lidar2cam[:, 0, 3] += 0.1 * (5 * frame % 12)
            return samples

    hook = PictureHook(out_dir=str(tmp_path / 'pictures'), kinds=['overlay', 'ranked'])
    part = toy.test_part()
    toy.build_runner(tmp_path, [hook], **part, **{'model.type': 'Erring'}).test()
    place = {5 * frame % 12: frame for frame in range(12)}
    for rank, error in dict(best=0, median=6, worst=11).items():
        name = f'toy_{place[error]:02d}_cam.png'
        picture = cv2.imread(str(tmp_path / 'pictures' / 'ranked' / f'{rank}_{name}'))
        assert (picture == cv2.imread(str(tmp_path / 'pictures' / 'overlay' / name))).all()
    assert len(list((tmp_path / 'pictures' / 'ranked').iterdir())) == 3


def batch_of(toy, mismatched_image):
    items = [toy.ToyFrames()[i] for i in range(len(mismatched_image))]
    for item, wrong in zip(items, mismatched_image):
        item['data_samples'].set_metainfo(dict(mismatched_image=wrong))
    batch = dict(inputs={key: [item['inputs'][key] for item in items]
                         for key in ('points', 'imgs')})
    return batch, [item['data_samples'] for item in items]


class Pictures:
    """A visualizer that counts."""

    def __init__(self):
        self.names = []

    def add_image(self, name, picture, step):
        assert picture.dtype == np.uint8 and picture.ndim == 3
        self.names.append((name, step))


def test_mismatched_images_are_neither_drawn_nor_counted(toy):
    batch, samples = batch_of(toy, [True, False, True, False, False])
    runner = SimpleNamespace(visualizer=Pictures())
    PictureHook(max_frames=2).after_test_iter(runner, 0, batch, samples)
    assert runner.visualizer.names == [('overlay_toy_01_cam', 0), ('overlay_toy_03_cam', 0)]


def evaluator(*curves):
    return SimpleNamespace(metrics=[SimpleNamespace(curves=c, prefix='calibration')
                                    for c in curves] + [SimpleNamespace()])


def test_recall_curves_are_drawn_after_the_test(tmp_path):
    curves = dict(predicted=CURVE)
    runner = SimpleNamespace(visualizer=Pictures(),
                             test_loop=SimpleNamespace(evaluator=evaluator(curves)))
    PictureHook().after_test_epoch(runner, {})
    assert runner.visualizer.names == [('recall_curves_calibration', 0)]
    PictureHook(out_dir=str(tmp_path)).after_test_epoch(runner, {})
    assert len(runner.visualizer.names) == 1  # a folder has the pictures instead
    found = cv2.imread(str(tmp_path / 'recall_curves' / 'calibration.png'))[..., ::-1]
    assert (found == plot_recall(curves)).all()


def test_roc_curves_are_drawn_after_the_test(tmp_path):
    roc = dict(agreement=rejection([.1, .5, .7], [False, True, True]))
    metric = SimpleNamespace(roc=roc, prefix='mismatch')
    runner = SimpleNamespace(visualizer=Pictures(), test_loop=SimpleNamespace(
        evaluator=SimpleNamespace(metrics=[metric])))
    PictureHook(kinds=['roc_curves']).after_test_epoch(runner, {})
    assert runner.visualizer.names == [('roc_curves_mismatch', 0)]
    PictureHook(kinds=['recall_curves']).after_test_epoch(runner, {})
    assert len(runner.visualizer.names) == 1


def test_no_curves_no_picture():
    # Processes other than the main one have empty curves.
    runner = SimpleNamespace(visualizer=Pictures(), iter=3,
                             val_loop=SimpleNamespace(evaluator=evaluator({})))
    PictureHook().after_val_epoch(runner, {})
    assert runner.visualizer.names == []


def test_only_the_kinds_that_are_asked_for(toy, tmp_path):
    batch, samples = batch_of(toy, [False])
    runner = SimpleNamespace(visualizer=Pictures(), test_loop=SimpleNamespace(
        evaluator=evaluator(dict(predicted=CURVE))))
    hook = PictureHook(kinds=['recall_curves'])
    hook.after_test_iter(runner, 0, batch, samples)
    assert runner.visualizer.names == []
    hook.after_test_epoch(runner, {})
    assert len(runner.visualizer.names) == 1
    with pytest.raises(ValueError, match=r"kinds: expected some of \['overlay'.*found \['holo"):
        PictureHook(kinds=['overlay', 'hologram'])


def test_testing_needs_no_training_data(toy, tmp_path):
    runner = toy.build_runner(tmp_path, [PictureHook(max_frames=1)], **toy.test_part(), **{
        'train_dataloader.dataset.type': 'NotThere'})
    assert runner.test()['calibration/num_views'] == 12


def test_visual_back_ends_get_them_in_validation(toy, tmp_path):
    part = toy.test_part()
    toy.build_runner(tmp_path, [PictureHook(max_frames=1, kinds=['overlay'])], **{
        'visualizer': dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
        'val_dataloader': part['test_dataloader'], 'val_cfg': dict(type='ValLoop'),
        'val_evaluator': part['test_evaluator'], 'train_cfg.val_interval': 5}).train()
    names = sorted(path.name for path in tmp_path.rglob('vis_image/*.png'))
    assert names == ['overlay_toy_00_cam_10.png', 'overlay_toy_00_cam_5.png']
