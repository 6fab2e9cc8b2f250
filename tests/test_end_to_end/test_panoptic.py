"""Panoptic fine-tuning as a user runs it: train, resume, test, pictures, submission, processes."""
import pickle
import re
import shutil

import numpy as np
import pytest
import torch

CONFIG = 'configs/panoptic/minkunet_demo.py'
TINY = {
    'model.data_preprocessor.voxel_layer.voxel_size': '[1.,1.,1.]',
    'model.backbone.base_channels': 8,
    'model.backbone.encoder_channels': '(8,8,16)',
    'model.backbone.decoder_channels': '(16,8,8)',
    'model.decode_head.channels': 8,
    'model.offset_head.channels': 8,
    'train_cfg.max_iters': 4,
    'train_cfg.val_interval': 4,
    'param_scheduler.0.end': 1,
    'param_scheduler.1.begin': 1,
    'default_hooks.logger.interval': 1,
    'default_hooks.checkpoint.interval': 2,
    'default_hooks.checkpoint.max_keep_ckpts': 5,
}
TINY_EPOCHS = {
    'train_cfg.max_epochs': 1,
    'train_cfg.val_interval': 1,
    'param_scheduler.0.end': 1,
    'param_scheduler.1.begin': 1,
    'param_scheduler.1.end': 2,
    'default_hooks.checkpoint.interval': 1,
}
FIGURES = ('pq', 'pq_dagger', 'sq_mean', 'rq_mean', 'miou')


def losses_of(text):
    """{iteration: [cross-entropy, Lovasz, offset loss]} of a log."""
    return {int(step): [float(loss) for loss in losses] for step, *losses in
            re.findall(r'Iter\(train\) \[ *(\d)/4].* loss_ce: (\S+)  loss_lovasz: (\S+)  '
                       r'loss_offset: (\S+)', text)}


@pytest.fixture
def demo(make_world, in_process, monkeypatch, on_cpu):
    """A small world, the root of the config by its variable."""
    root = make_world('semantickitti')
    monkeypatch.setenv('NCLR_DEMO_ROOT', str(root))
    return root, {**TINY, **in_process}


def test_train_resume_and_test(run, demo, tmp_path, log):
    _, options = demo
    run('train', CONFIG, '--work-dir', tmp_path / 'whole', tiny=False, options=options)
    trained = tmp_path / 'whole' / 'iter_4.pth'
    text = log(tmp_path / 'whole')
    for figure in FIGURES:
        assert re.search(rf' {figure}: \d', text), figure
    whole = losses_of(text)
    assert sorted(whole) == [1, 2, 3, 4]

    part = tmp_path / 'part'
    part.mkdir()
    shutil.copy(tmp_path / 'whole' / 'iter_2.pth', part)
    (part / 'last_checkpoint').write_text(str(part / 'iter_2.pth'))
    run('train', CONFIG, '--work-dir', part, '--resume', tiny=False, options=options)
    resumed = losses_of(log(part))
    assert sorted(resumed) == [3, 4]
    # Weights, optimizer and schedule go on; mmdet3d draws other augmentations.
    for step, losses in resumed.items():
        assert losses == pytest.approx(whole[step], rel=0.2), step
    states = [torch.load(work_dir / 'iter_4.pth') for work_dir in (trained.parent, part)]
    # AdamW has made four steps, the schedule has counted on from the second.
    for state in states:
        assert {int(moments['step']) for moments in state['optimizer']['state'].values()} == {4}
    assert states[0]['param_schedulers'] == states[1]['param_schedulers']
    rates = [[group['lr'] for group in state['optimizer']['param_groups']] for state in states]
    assert rates[0] == rates[1]
    assert [state['meta']['iter'] for state in states] == [4, 4]

    assert 'Labels of 4 frames fit' in text
    run('test', CONFIG, trained, '--work-dir', tmp_path / 'test', '--show-dir',
        tmp_path / 'pictures', tiny=False,
        options={**options, 'default_hooks.pictures.max_frames': 1})
    assert [path.name for path in (tmp_path / 'pictures' / 'birds_eye').iterdir()] == [
        '08_000000.png']
    assert [path.name for path in (tmp_path / 'pictures' / 'camera').iterdir()] == [
        '08_000000_image_2.png']


def test_submission(run, demo, tmp_path):
    root, options = demo
    with open(root / 'semantickitti_infos_val.pkl', 'rb') as file:
        infos = pickle.load(file)
    for info in infos['data_list']:
        del info['pts_semantic_mask_path']
    with open(root / 'semantickitti_infos_test.pkl', 'wb') as file:
        pickle.dump(infos, file)
    run('test', CONFIG, 'none', '--work-dir', tmp_path / 'test', '--submission', tmp_path / 'out',
        tiny=False, options=options)
    written = sorted((tmp_path / 'out').rglob('*.label'))
    assert [str(path.relative_to(tmp_path / 'out')) for path in written] == [
        f'sequences/08/predictions/00000{k}.label' for k in range(2)]
    for path in written:
        scan = root / 'sequences' / '08' / 'velodyne' / f'{path.stem}.bin'
        assert np.fromfile(path, np.uint32).size == scan.stat().st_size // 16


def test_two_processes(run, demo, tmp_path):
    root, options = demo
    result = run.process(
        'train', CONFIG, '--work-dir', tmp_path / 'two', '--launcher', 'pytorch', tiny=False,
        options={**options, 'train_dataloader.batch_size': 1, 'train_cfg.max_iters': 2,
                 'train_cfg.val_interval': 2},
        python=('-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2'),
        variables={'NCLR_DEMO_ROOT': str(root)})
    assert result.returncode == 0, result.stderr[-3000:]
    assert (tmp_path / 'two' / 'iter_2.pth').is_file()
    assert ' pq_dagger: ' in result.stdout


def test_mini_set_of_nuscenes(run, make_world, in_process, tmp_path, monkeypatch, on_cpu, log):
    root = make_world('nuscenes')
    monkeypatch.setenv('NCLR_NUSCENES_ROOT', str(root))
    monkeypatch.setenv('NCLR_NUSCENES_MINI_ROOT', str(root))
    run('train', 'configs/panoptic/minkunet34_nuscenes_mini.py', '--work-dir', tmp_path / 'run',
        tiny=False, options={
            **in_process, **TINY_EPOCHS,
            'model.data_preprocessor.voxel_layer.voxel_size': '[.2,.2,.2]',
            'model.backbone.encoder_blocks': '[1,1,1,1]', 'optim_wrapper.optimizer.lr': .001,
            'val_dataloader.dataset.data_prefix.pts_semantic_mask': 'lidarseg/v1.0-mini',
            'train_dataloader.batch_size': 2, 'optim_wrapper.accumulative_counts': 1,
            'default_hooks.pictures.type': 'PictureHook',
            'default_hooks.pictures.out_dir': tmp_path / 'pictures',
            'default_hooks.pictures.max_frames': 1})
    text = log(tmp_path / 'run')
    assert re.search(r'pedestrian \(thing\)', text) and re.search(r' pq: \d', text)
    assert len(list((tmp_path / 'pictures' / 'birds_eye').iterdir())) == 1
    assert len(list((tmp_path / 'pictures' / 'camera').iterdir())) == 6


@pytest.mark.parametrize('source, backbone', [
    ('nclr/nclr_minkunet_demo', 'point_backbone'),
    ('semseg/minkunet_demo', 'backbone'),  # Table 5, "supervised pre-training", heads and all
])
def test_backbone_of_another_training(demo, tmp_path, source, backbone):
    from mmengine.config import Config
    from mmengine.registry import MODELS, init_default_scope
    init_default_scope('mmdet3d')
    trained = MODELS.build(Config.fromfile(f'configs/{source}.py').model)
    torch.save(dict(meta={}, state_dict=trained.state_dict()), tmp_path / 'trained.pth')
    config = Config.fromfile(CONFIG)
    config.model.backbone.init_cfg.checkpoint = str(tmp_path / 'trained.pth')
    model = MODELS.build(config.model)
    model.init_weights()
    expected = getattr(trained, backbone).state_dict()
    loaded = model.backbone.state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
