"""From pretraining a VoxelNet to KITTI's files, with mmdet3d's own scripts and infos."""
import json
import pickle
import runpy
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from nclr_plugin.engine.finetuning import checkpoint_options, fraction_options

ROOT = Path(__file__).resolve().parents[2]
DETECTION = ROOT / 'configs' / 'detection'
MMDET3D_CONFIGS = {
    'second_kitti': 'second/second_hv_secfpn_8xb6-80e_kitti-3d-3class.py',
    'pv_rcnn_kitti': 'pv_rcnn/pv_rcnn_8xb2-80e_kitti-3d-3class.py',
    'centerpoint_nuscenes':
        'centerpoint/centerpoint_voxel01_second_secfpn_8xb4-cyclic-20e_nus-3d.py',
}
ENCODERS = {'second_kitti': {}, 'pv_rcnn_kitti': {}, 'centerpoint_nuscenes': dict(
    in_channels=5, block_type='basicblock',
    encoder_channels=((16, 16, 32), (32, 32, 64), (64, 64, 128), (128, 128)),
    encoder_paddings=((0, 0, 1), (0, 0, 1), (0, 0, (0, 1, 1)), (0, 0)))}
SMALL = {f'model.{key}': value for key, value in {
    'image_branch.base_channels': 8, 'image_branch.out_channels': 16, 'fusion.embed_dims': 24,
    'fusion.num_heads': 2, 'fusion.num_layers': 1, 'fusion.ffn_channels': 24,
    'matching_head.embed_dims': 16, 'num_samples': 64}.items()}
SHORT = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 100, 'train_cfg.val_begin': 100}


def mmdet3d_folder():
    import mmdet3d
    return Path(mmdet3d.__file__).parent / '.mim'


def run_mmdet3d(script, *argv):
    """A script of mmdet3d, as from its own folder."""
    before, path = sys.argv, sys.path.copy()
    sys.argv = [str(mmdet3d_folder() / 'tools' / script), *map(str, argv)]
    sys.path.insert(0, str(mmdet3d_folder()))
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules)
              if name.split('.')[0] == 'tools'}
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    finally:
        sys.argv, sys.path[:] = before, path
        sys.modules.update(hidden)


@pytest.fixture(scope='module')
def kitti(make_world, tmp_path_factory):
    """A demo world in KITTI's layout with the infos of mmdet3d's create_data.py."""
    world = make_world('kitti')
    root = tmp_path_factory.mktemp('kitti')
    for part in ('training', 'testing'):
        (root / part).mkdir()
        for folder in (world / part).iterdir():
            if folder.name != 'velodyne_reduced':
                (root / part / folder.name).symlink_to(folder)
    (root / 'ImageSets').symlink_to(world / 'ImageSets')
    run_mmdet3d('create_data.py', 'kitti', '--root-path', root, '--out-dir', root,
                '--extra-tag', 'kitti')
    return root


@pytest.fixture(scope='module')
def pretrained(run, demo, tmp_path_factory):
    """Checkpoint of a step of pretraining."""
    work = tmp_path_factory.mktemp('pretrained')
    run('train', ROOT / 'configs' / 'nclr' / 'nclr_voxelnet_demo.py', '--work-dir', work,
        tiny=False, options={**demo, **SMALL, **SHORT, 'train_cfg.max_iters': 1,
                             'train_dataloader.batch_size': 1})
    return work / 'iter_1.pth'


@pytest.fixture
def on_kitti(kitti, monkeypatch):
    """The data set of the fine-tuning configs."""
    monkeypatch.setenv('NCLR_KITTI_ROOT', str(kitti))


def differences(ours, theirs, name=''):
    """Names of settings that differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in {*ours, *theirs} - {'_scope_'}:
            yield from differences(ours.get(key), theirs.get(key), f'{name}.{key}' if name else key)
    elif isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)) \
            and len(ours) == len(theirs):
        for index, (mine, other) in enumerate(zip(ours, theirs)):
            yield from differences(mine, other, f'{name}.{index}')
    elif ours != theirs:
        yield name


@pytest.mark.parametrize('name', MMDET3D_CONFIGS)
def test_configs_are_mmdet3ds_but_for_data_and_weights(name, monkeypatch):
    for variable in ('NCLR_KITTI_ROOT', 'NCLR_NUSCENES_ROOT'):
        monkeypatch.delenv(variable, raising=False)
    theirs = Config.fromfile(str(mmdet3d_folder() / 'configs' / MMDET3D_CONFIGS[name])).to_dict()
    ours = Config.fromfile(str(DETECTION / f'{name}.py')).to_dict()
    assert {change.split('.')[0] if '.' not in change else change
            for change in differences(ours, theirs)} <= {
        'custom_imports', 'custom_hooks', 'submission', 'model.init_cfg'}


@pytest.mark.parametrize('name', ['second_demo', 'second_kitti_real'])
def test_the_small_configs_have_one_range_throughout(name, monkeypatch):
    monkeypatch.delenv('NCLR_KITTI_ROOT', raising=False)
    config = Config.fromfile(str(DETECTION / f'{name}.py'))
    limits = list(config.point_cloud_range)
    layer = config.model.data_preprocessor.voxel_layer
    cells = [round((high - low) / edge) for low, high, edge in zip(
        limits[:3], limits[3:], layer.voxel_size)]
    assert layer.point_cloud_range == limits
    # One layer more in height, as in mmdet3d.
    assert config.model.middle_encoder.sparse_shape == [cells[2] + 1, cells[1], cells[0]]
    for ranges in config.model.bbox_head.anchor_generator.ranges:
        assert [*ranges[:2], *ranges[3:5]] == [*limits[:2], *limits[3:5]]
    pipelines = [config.train_dataloader.dataset.dataset.pipeline,
                 config.test_dataloader.dataset.pipeline[1]['transforms']]
    for pipeline in pipelines:
        assert [step.point_cloud_range for step in pipeline
                if step['type'] in ('PointsRangeFilter', 'ObjectRangeFilter')] \
            == [limits] * (1 + (pipeline is pipelines[0]))


@pytest.mark.parametrize('name', ['second_kitti', 'pv_rcnn_kitti', 'second_demo',
                                  'second_kitti_real'])
def test_a_fraction_has_its_infos_and_its_objects(name, monkeypatch):
    monkeypatch.delenv('NCLR_KITTI_ROOT', raising=False)
    config = Config.fromfile(str(DETECTION / f'{name}.py'))
    config.merge_from_dict(fraction_options(config, 20))
    dataset = config.train_dataloader.dataset.dataset
    assert dataset.ann_file == 'kitti_infos_train_20.pkl'
    paste, = (step for step in dataset.pipeline if step['type'] == 'ObjectSample')
    assert paste['db_sampler']['info_path'] == 'data/kitti/kitti_dbinfos_train_20.pkl'
    assert config.val_evaluator.ann_file == 'data/kitti/kitti_infos_val.pkl'


def encoder_checkpoint(name, path):
    from nclr_plugin.models.backbones.voxelnet import SplitSparseEncoder
    torch.manual_seed(5)
    state = {f'point_backbone.{key}': value for key, value in SplitSparseEncoder(
        **ENCODERS[name]).state_dict().items()}
    torch.save(dict(meta={}, state_dict=state), path)
    return state


def build(name, checkpoint):
    from mmengine.registry import MODELS, init_default_scope
    config = Config.fromfile(str(DETECTION / f'{name}.py'))
    config.merge_from_dict(checkpoint_options(config, str(checkpoint)))
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    model.init_weights()
    return model


@pytest.mark.parametrize('name', ['second_kitti', 'centerpoint_nuscenes'])
def test_every_tensor_of_the_encoder_is_loaded(name, tmp_path):
    weights = encoder_checkpoint(name, tmp_path / 'nclr.pth')
    model = build(name, tmp_path / 'nclr.pth')
    encoder = getattr(model, 'middle_encoder', None) or model.pts_middle_encoder
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, weights[f'point_backbone.{key}']), key


@pytest.mark.parametrize('name, says', [
    ('centerpoint_nuscenes', 'in the file'), ('second_kitti', 'looks like')])
def test_encoders_of_other_networks_are_refused(name, says, tmp_path):
    """Another encoder's shapes; a MinkUNet."""
    from nclr_plugin.checkpoints import PretrainedWeightsError
    if name == 'second_kitti':
        torch.save(dict(state_dict={'point_backbone.conv_input.0.0.weight': torch.zeros(
            32, 3, 3, 3, 4)}), tmp_path / 'nclr.pth')
    else:
        encoder_checkpoint('second_kitti', tmp_path / 'nclr.pth')
    with pytest.raises(PretrainedWeightsError, match=says):
        build(name, tmp_path / 'nclr.pth')


def test_pretrain_fine_tune_and_write_kittis_files(run, kitti, pretrained, on_kitti, log,
                                                   tmp_path, on_cpu):
    options = [f'{key}={value}' for key, value in {
        **SHORT, 'train_dataloader.num_workers': 0, 'train_dataloader.batch_size': 1,
        'train_dataloader.persistent_workers': False, 'default_hooks.logger.interval': 1,
        'model.backbone.layer_nums': '[1,1]', 'experiment_name': 'detection',
        'model.init_cfg.checkpoint': pretrained}.items()]
    run_mmdet3d('train.py', DETECTION / 'second_demo.py', '--work-dir', tmp_path / 'second',
                '--cfg-options', *options)
    text = log(tmp_path / 'second')
    encoder = torch.load(str(pretrained), map_location='cpu')['state_dict']
    tensors = sum(key.startswith(('point_backbone.conv_', 'point_backbone.encoder_layers'))
                  and not key.endswith('num_batches_tracked') for key in encoder)
    assert tensors > 50
    assert f'{tensors} of {tensors} tensors' in text
    assert 'Iter(train) [2/2]' in text and 'nan' not in text.split('Iter(train) [2/2]')[1]
    assert 'was trained on' not in text  # other voxels or heights

    saved = tmp_path / 'second' / 'iter_2.pth'
    run('test', DETECTION / 'second_demo.py', saved, '--submission', tmp_path / "o'brien, files",
        '--work-dir', tmp_path / 'test', '--show-dir', tmp_path / 'boxes', tiny=False, options={
            'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False,
            'model.backbone.layer_nums': '[1,1]', 'model.test_cfg.score_thr': 0.})
    files = sorted((tmp_path / "o'brien, files" / 'pred_instances_3d').iterdir())
    frames = (kitti / 'ImageSets' / 'test.txt').read_text().split()
    assert [file.stem for file in files] == frames
    assert f'{7518 - len(frames)} of 7518 frames are missing' in log(tmp_path / 'test')
    for kind, suffix in (('birds_eye', ''), ('camera', '_image_2')):
        assert sorted(path.name for path in (tmp_path / 'boxes' / kind).iterdir()) == [
            f'{frame}{suffix}.png' for frame in frames]
    lines = [line.split() for line in files[0].read_text().splitlines()]
    assert lines and all(len(line) == 16 for line in lines)
    for line in lines:
        assert line[0] in ('Car', 'Pedestrian', 'Cyclist')
        assert all(abs(float(word)) < 1e4 for word in line[1:])

    # KITTI's evaluation is a CUDA kernel, which numba simulates if told before it is imported.
    done = run.process(
        'test', DETECTION / 'second_demo.py', saved, '--work-dir', tmp_path / 'ap', '--show-dir',
        tmp_path / 'true boxes', tiny=False,
        variables={'NUMBA_ENABLE_CUDASIM': '1'}, options={
            'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False,
            'model.backbone.layer_nums': '[1,1]', 'model.test_cfg.score_thr': 0.,
            'model.test_cfg.max_num': 2})
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'Car AP40@0.70, 0.70, 0.70' in done.stdout
    assert list((tmp_path / 'true boxes' / 'camera').iterdir())
    figures = json.loads(next((tmp_path / 'ap').glob('*/*.json')).read_text())
    precisions = {name.split('/')[-1]: value for name, value in figures.items()
                  if fnmatch(name, '*KITTI/*_3D_AP40_*')}
    assert set(precisions) == {
        f'{name}_3D_AP40_{level}{overlap}'
        for name, overlaps in (*((name, ('_strict', '_loose')) for name in (
            'Car', 'Pedestrian', 'Cyclist')), ('Overall', ('', )))
        for level in ('easy', 'moderate', 'hard') for overlap in overlaps}
    assert all(0 <= value <= 100 for value in precisions.values())


def test_a_checkpoint_of_a_minkunet_ends_in_one_sentence(run, on_kitti, tmp_path, on_cpu):
    path = tmp_path / 'minkunet.pth'
    torch.save(dict(state_dict={
        f'point_backbone.conv_input.{i}.0.weight': torch.zeros(32, 3, 3, 3, c)
        for i, c in enumerate((4, 32))}), path)
    text = ' '.join(error_of(run, tmp_path, 'train', '--checkpoint', path).split())
    assert text.startswith('PretrainedWeightsError: ') and 'minkunet.pth' in text
    assert 'SparseEncoder' in text and 'looks like a MinkUNet' in text


@pytest.mark.parametrize('tool, infos', [
    ('train', 'kitti_infos_train.pkl'), ('train', 'kitti_infos_val.pkl'),
    ('test', 'kitti_infos_val.pkl')])
def test_infos_without_calibration_end_in_one_sentence(tool, infos, run, kitti,
                                                       monkeypatch, tmp_path, on_cpu):
    for path in kitti.iterdir():
        (tmp_path / path.name).symlink_to(path)
    content = pickle.loads((kitti / infos).read_bytes())
    del content['data_list'][1]['images']['CAM2']['lidar2cam']
    (tmp_path / infos).unlink()
    (tmp_path / infos).write_bytes(pickle.dumps(content))
    monkeypatch.setenv('NCLR_KITTI_ROOT', str(tmp_path))
    text = error_of(run, tmp_path, tool)
    assert text.startswith('DataLayoutError: ') and '\n' not in text
    assert infos in text and 'none of lidar2cam in 1' in text and 'create_data.py kitti' in text


def test_a_fraction_that_was_not_split_names_the_splitter(run, on_kitti, tmp_path, on_cpu):
    text = error_of(run, tmp_path, 'train', '--fraction', 30)
    assert 'kitti_infos_train_30.pkl' in text and 'tools/split_detection_infos.py' in text
    assert text.startswith('FileNotFoundError: ') and '\n' not in text


def error_of(run, tmp_path, tool='train', *words):
    with pytest.raises(SystemExit) as error:
        run(tool, DETECTION / 'second_demo.py', *['none'] * (tool == 'test'), *words, '--work-dir',
            tmp_path / 'work', tiny=False, options=SHORT)
    return error.value.code
