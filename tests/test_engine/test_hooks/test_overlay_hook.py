import cv2

from nclr_plugin.engine import OverlayHook
from nclr_plugin.visualization import compare_sample


def test_pictures_by_frame_and_camera(toy, tmp_path):
    hook = OverlayHook(out_dir=str(tmp_path / 'pictures'), max_frames=3)
    toy.build_runner(tmp_path, [hook], **toy.test_part()).test()
    names = [f'toy_{i:02d}_cam.png' for i in range(3)]
    assert sorted(p.name for p in (tmp_path / 'pictures').iterdir()) == names
    item = toy.ToyFrames()[1]
    sample = item['data_samples']
    toy.ToyModel().forward({'points': [item['inputs']['points']]}, [sample], mode='predict')
    expected = compare_sample(item['inputs']['imgs'][0].permute(1, 2, 0).numpy(),
                              item['inputs']['points'], sample, 0)
    found = cv2.imread(str(tmp_path / 'pictures' / names[1]))[..., ::-1]
    assert (found == expected).all()


def test_testing_needs_no_training_data(toy, tmp_path):
    runner = toy.build_runner(tmp_path, [OverlayHook(max_frames=1)], **toy.test_part(), **{
        'train_dataloader.dataset.type': 'NotThere'})
    assert runner.test()['calibration/num_views'] == 12


def test_visual_back_ends_get_them_in_validation(toy, tmp_path):
    part = toy.test_part()
    toy.build_runner(tmp_path, [OverlayHook(max_frames=1)], **{
        'visualizer': dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
        'val_dataloader': part['test_dataloader'], 'val_cfg': dict(type='ValLoop'),
        'val_evaluator': part['test_evaluator'], 'train_cfg.val_interval': 5}).train()
    names = sorted(p.name for p in tmp_path.rglob('vis_image/*.png'))
    assert names == ['toy_00_cam_10.png', 'toy_00_cam_5.png']
