"""Fine-tuning, evaluation and submission by the command lines, with small networks."""
import json
import pickle
import re
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nclr_plugin.checkpoints import export_backbone
from nclr_plugin.datasets.segmentation.infos import create_infos

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'semseg'
SMALL = {
    'model.data_preprocessor.voxel_layer.voxel_size': '[1.,1.,1.]',
    'model.backbone.base_channels': 8,
    'model.backbone.encoder_channels': '[8,8,8,16]',
    'model.backbone.encoder_blocks': '[1,1,1,1]',
    'model.backbone.decoder_channels': '[16,8,8,8]',
    'model.backbone.decoder_blocks': '[1,1,1,1]',
    'model.decode_head.channels': 8,
}
SHORT = {'model.data_preprocessor.voxel_layer.voxel_size': '[2.,2.,2.]',
         'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2,
         **{f'{part}_dataloader.{option}': value for part in ('train', 'val', 'test')
            for option, value in (('num_workers', 0), ('persistent_workers', False))}}
UNVALIDATED = {**SHORT, 'train_cfg.val_begin': 100}


def by_epoch(epochs):
    options = {**SHORT, **SMALL, 'train_cfg.max_epochs': epochs, 'train_cfg.val_interval': epochs}
    del options['train_cfg.max_iters']
    return options


def figures(work_dir, name='miou'):
    """Values of a figure in the newest log, in order."""
    path = max(Path(work_dir).glob('*/vis_data/scalars.json'))
    scalars = [json.loads(line) for line in path.read_text().splitlines()]
    return [entry[name] for entry in scalars if name in entry]


@pytest.fixture
def world(make_world, tmp_path, monkeypatch):
    """A demo world of its own: infos, label fractions and files that a test may spoil."""
    source = make_world('semantickitti')
    for path in source.glob('sequences/*/*/*'):
        if path.parent.name in ('velodyne', 'labels'):
            copy = tmp_path / 'world' / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    create_infos('semantickitti', str(tmp_path / 'world'), [50])
    monkeypatch.setenv('NCLR_DEMO_ROOT', str(tmp_path / 'world'))
    monkeypatch.setattr('mmengine.device.utils.DEVICE', 'cpu')
    return tmp_path / 'world'


@pytest.fixture
def train(run, tmp_path):
    """Function: options -> work directory and final state of the demo config's training."""

    def start(config='minkunet_demo', options=SHORT, flags=()):
        work_dir = tmp_path / 'train'
        # In one process, mmdet3d's visualizer writes where that of its name wrote before.
        run('train', CONFIGS / f'{config}.py', '--work-dir', work_dir, *flags, tiny=False,
            options={**options, 'visualizer.name': str(tmp_path)})
        name = (work_dir / 'last_checkpoint').read_text()
        return work_dir, torch.load(name, map_location='cpu')['state_dict']

    return start


@pytest.fixture
def pretrained(tmp_path):
    """What a pretraining run leaves: the backbone below ``point_backbone.``, other parts beside."""
    from mmengine.config import Config
    from mmengine.registry import MODELS
    torch.manual_seed(7)
    backbone = dict(Config.fromfile(str(CONFIGS / 'minkunet_demo.py')).model.backbone)
    backbone.pop('init_cfg')
    state = MODELS.build(backbone).state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    path = tmp_path / 'pretrained.pth'
    torch.save(dict(meta={}, state_dict={
        **{f'point_backbone.{name}': tensor for name, tensor in state.items()},
        'overlap_head.weight': torch.ones(3)}), path)
    return path, state


def test_linear_probe_of_a_checkpoint(world, train, pretrained):
    path, backbone = pretrained
    _, state = train(options={**UNVALIDATED, 'model.type': 'LinearProbeMinkUNet'},
                     flags=['--checkpoint', path])
    for name, tensor in backbone.items():
        if not name.endswith('num_batches_tracked'):
            assert torch.equal(state[f'backbone.{name}'], tensor), name
    assert state['decode_head.conv_seg.bias'].abs().max() > 0


def test_fine_tuning_moves_the_checkpoint(world, train, pretrained):
    path, backbone = pretrained
    _, state = train(options=UNVALIDATED, flags=['--checkpoint', path])
    for name, tensor in backbone.items():
        if name.endswith('weight'):
            change = (state[f'backbone.{name}'] - tensor).abs().max()
            assert 0 < change < 0.01, name


def test_submission(world, run, tmp_path):
    create_infos('semantickitti', str(world), [50])
    (world / 'semantickitti_infos_val.pkl').rename(world / 'semantickitti_infos_test.pkl')
    for path in (world / 'sequences/08/labels').iterdir():
        path.unlink()  # as in the hidden test set
    run('test', CONFIGS / 'minkunet_demo.py', 'none', '--work-dir', tmp_path / 'test',
        '--submission', tmp_path / 'out', tiny=False, options=SHORT)
    for number in range(2):
        name = f'{number:06d}'
        labels = np.fromfile(tmp_path / f'out/sequences/08/predictions/{name}.label', np.uint32)
        scan = world / f'sequences/08/velodyne/{name}.bin'
        assert len(labels) == scan.stat().st_size // 16


def test_submission_to_nuscenes(make_world, run, tmp_path, monkeypatch, on_cpu):
    root = shutil.copytree(make_world('nuscenes'), tmp_path / 'nuscenes')
    monkeypatch.setenv('NCLR_NUSCENES_ROOT', str(root))
    # As in the hidden test set: tables of their own, and no labels.
    (root / 'v1.0-mini').rename(root / 'v1.0-test')
    shutil.rmtree(root / 'lidarseg')
    with open(root / 'nuscenes_infos_val.pkl', 'rb') as file:
        infos = pickle.load(file)
    for info in infos['data_list']:
        info.pop('pts_semantic_mask_path', None)
    with open(root / 'nuscenes_infos_test.pkl', 'wb') as file:
        pickle.dump(infos, file)
    run('test', CONFIGS / 'minkunet18_nuscenes.py', 'none', '--work-dir', tmp_path / 'test',
        '--submission', tmp_path / 'out', tiny=False, options={
            **SMALL, 'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False})
    meta = json.loads((tmp_path / 'out/test/submission.json').read_text())
    assert meta['meta']['use_lidar'] is True
    written = sorted((tmp_path / 'out/lidarseg/test').glob('*_lidarseg.bin'))
    assert len(written) == len(infos['data_list']) > 0
    sizes = sorted((root / 'samples/LIDAR_TOP' / info['lidar_points']['lidar_path']).stat().st_size
                   for info in infos['data_list'])
    assert sorted(path.stat().st_size for path in written) == [size // 20 for size in sizes]
    assert all(1 <= np.fromfile(path, np.uint8).min() and np.fromfile(path, np.uint8).max() <= 16
               for path in written)


def test_submission_of_a_config_that_has_none(run, demo_config, tmp_path):
    line = run.fails('test', demo_config, 'none', '--submission', tmp_path)
    assert line.startswith('ConfigError') and "expected a config with a 'submission'" in line


def test_mmdet3d_trains_on_a_fraction_from_scratch_and_tests(world, run, log, tmp_path,
                                                             monkeypatch):
    import mmdet3d
    tools = Path(mmdet3d.__file__).parent / '.mim' / 'tools'
    words = run.words('train', CONFIGS / 'minkunet_demo.py', '--work-dir', tmp_path / 'mmdet3d',
                      tiny=False, options={
                          **SHORT, 'visualizer.name': str(tmp_path),
                          'train_dataloader.dataset.ann_file': 'semantickitti_infos_train_50.pkl'})
    monkeypatch.setattr(sys, 'argv', words)
    runpy.run_path(str(tools / 'train.py'), run_name='__main__')
    checkpoint = (tmp_path / 'mmdet3d' / 'last_checkpoint').read_text()
    words = run.words('test', CONFIGS / 'minkunet_demo.py', checkpoint, '--work-dir',
                      tmp_path / 'mmdet3d_test', tiny=False, options=SHORT)
    monkeypatch.setattr(sys, 'argv', words)
    runpy.run_path(str(tools / 'test.py'), run_name='__main__')
    trained = figures(tmp_path / 'mmdet3d')[-1]
    tested = json.loads(next((tmp_path / 'mmdet3d_test').glob('*/*.json')).read_text())['miou']
    assert tested == pytest.approx(trained)
    assert 'training starts from scratch' in log(tmp_path / 'mmdet3d')
    assert 'Labels of 2 frames fit' in log(tmp_path / 'mmdet3d')


@pytest.mark.parametrize('sequence, spoil, message', [
    ('00', lambda path: path.write_bytes(path.read_bytes()[:-400]), 'labels, as many as'),
    ('08', lambda path: path.write_bytes(np.full_like(np.fromfile(path, np.uint32), 2).tobytes()),
     'found [2]'),
], ids=['short', 'unknown label'])
def test_bad_labels_end_before_training(world, run, tmp_path, sequence, spoil, message):
    path = world / f'sequences/{sequence}/labels/000001.label'
    spoil(path)
    line = run.fails('train', CONFIGS / 'minkunet_demo.py', '--work-dir', tmp_path / 'train',
                     tiny=False, options=SHORT)
    assert line.startswith(f"DataLayoutError: label file '{path}'") and message in line
    assert 'Iter(train)' not in max((tmp_path / 'train').glob('*/*.log')).read_text()


@pytest.fixture
def other_checkpoint(tmp_path):
    """Function: what it is of -> path of a checkpoint that does not fit the demo's MinkUNet."""

    def save(kind):
        from mmdet3d.models import SECOND, SparseEncoder
        from mmengine.config import Config
        from mmengine.registry import MODELS
        if kind == 'detector':
            parts = dict(middle_encoder=SparseEncoder(4, [41, 1600, 1408]), backbone=SECOND())
        else:
            backbone = dict(Config.fromfile(str(CONFIGS / 'minkunet_demo.py')).model.backbone)
            parts = dict(backbone=MODELS.build({**backbone, 'base_channels': 24}))
        torch.save(dict(meta={}, state_dict={
            f'{part}.{name}': tensor for part, net in parts.items()
            for name, tensor in net.state_dict().items()}), tmp_path / 'other.pth')
        return str(tmp_path / 'other.pth')

    return save


@pytest.mark.parametrize('kind, way, message', [
    ('width', '--checkpoint', "PretrainedWeightsError: .*widths and numbers of blocks"),
    ('detector', '--checkpoint', r'PretrainedWeightsError: .*looks like a MinkUNet; the '
     r'checkpoint looks like a SparseEncoder \(mmdet3d detector\)'),
    ('width', 'load_from', r'CheckpointMismatchError: .* tensors backbone\.\* of MinkUNet.*other '
     r'size \d+: backbone.conv_input.0.0.weight \(24, 3, 3, 3, 4\) for \(16, 3, 3, 3, 4\)'),
    ('detector', 'load_from', r'CheckpointMismatchError: The checkpoint holds 0 of .*unexpected '
     r'\d+: middle_encoder\.'),
])
def test_a_checkpoint_of_another_network_ends_before_training(
        world, run, tmp_path, other_checkpoint, kind, way, message):
    options, flags = {**SHORT}, []
    if way == 'load_from':
        options[way] = other_checkpoint(kind)
    else:
        flags = [way, other_checkpoint(kind)]
    with pytest.raises(SystemExit) as ended:
        run('train', CONFIGS / 'minkunet_demo.py', '--work-dir', tmp_path / 'train', *flags,
            tiny=False, options=options)
    assert re.match(message, ended.value.code, re.DOTALL), ended.value.code
    assert 'Iter(train)' not in max((tmp_path / 'train').glob('*/*.log')).read_text()


def test_load_from_another_segmentor_needs_its_backbone_only(world, train, pretrained, tmp_path):
    path, backbone = pretrained
    export_backbone(str(path), 'mmdet3d', str(tmp_path / 'segmentor.pth'))
    segmentor = torch.load(tmp_path / 'segmentor.pth')
    segmentor['state_dict']['decode_head.conv_seg.bias'] = torch.ones(3)
    torch.save(segmentor, tmp_path / 'segmentor.pth')
    _, state = train(options={**UNVALIDATED, 'load_from': tmp_path / 'segmentor.pth',
                              'optim_wrapper.optimizer.lr': 0.})
    for name, tensor in backbone.items():
        if name.endswith('weight'):
            assert torch.equal(state[f'backbone.{name}'], tensor), name


def test_a_fraction_that_there_is_not(world, run):
    line = run.fails('train', CONFIGS / 'minkunet_demo.py', '--fraction', 1,  # of four frames
                     tiny=False, options=SHORT)
    assert line.startswith('FileNotFoundError') and 'semantickitti_infos_train_1.pkl' in line
    assert 'tools/create_infos.py' in line


def test_nuscenes(make_world, train, monkeypatch):
    root = make_world('nuscenes')
    monkeypatch.setenv('NCLR_NUSCENES_ROOT', str(root))
    work_dir, _ = train('spvcnn_nuscenes', {**by_epoch(1), **{
        f'{part}_dataloader.dataset.data_prefix.pts_semantic_mask': 'lidarseg/v1.0-mini'
        for part in ('train', 'val')}})
    assert figures(work_dir, 'acc')[-1] > 0
    assert figures(work_dir, 'driveable_surface')


def test_semanticposs(tmp_path, train, monkeypatch):
    rng = np.random.default_rng(0)
    for sequence in ('00', '03'):
        folder = tmp_path / 'poss' / 'sequences' / sequence
        for number in range(2):
            for name in ('velodyne', 'labels'):
                (folder / name).mkdir(parents=True, exist_ok=True)
            points = rng.uniform(-20, 20, (4000, 4)).astype(np.float32)
            points.tofile(folder / 'velodyne' / f'{number:06d}.bin')
            labels = np.where(points[:, 2] < 0, 22, 15).astype(np.uint32)
            labels.tofile(folder / 'labels' / f'{number:06d}.label')
    create_infos('semanticposs', str(tmp_path / 'poss'))
    monkeypatch.setenv('NCLR_POSS_ROOT', str(tmp_path / 'poss'))
    work_dir, _ = train('resunet18_semanticposs', by_epoch(1))
    assert figures(work_dir, 'ground') and figures(work_dir, 'cone/stone')


def test_overfits_a_real_scan(shared_data, tmp_path, train, monkeypatch):
    """The full run, 0.1 m voxels and minutes, is in the README; this is a taste of it."""
    (tmp_path / 'real').mkdir()
    (tmp_path / 'real/sequences').symlink_to(shared_data / 'semantickitti_scan' / 'sequences')
    create_infos('semantickitti', str(tmp_path / 'real'), train=['92'], val=['92'])
    monkeypatch.setenv('NCLR_DEMO_ROOT', str(tmp_path / 'real'))
    work_dir, _ = train(options={
        **SHORT, 'model.data_preprocessor.voxel_layer.voxel_size': '[0.5,0.5,0.5]',
        'train_cfg.max_iters': 30, 'train_cfg.val_interval': 10,
        'train_dataloader.batch_size': 1, 'optim_wrapper.optimizer.lr': 5e-3,
        'train_dataloader.dataset.pipeline.3.flip_ratio_bev_horizontal': 0.,
        'train_dataloader.dataset.pipeline.3.flip_ratio_bev_vertical': 0.,
        'train_dataloader.dataset.pipeline.4.rot_range': '[0.,0.]'})
    miou = figures(work_dir)
    assert len(miou) == 3 and miou[0] < miou[1] < miou[2]
    assert figures(work_dir, 'acc')[-1] > 0.65
