import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from nclr_plugin.engine import launcher
from nclr_plugin.utils.dataset_wrappers import innermost_configs

needs_mmdet3d = pytest.mark.skipif(importlib.util.find_spec('mmdet3d') is None,
                                   reason='runs on mmdet3d, which is not installed')


@pytest.fixture
def config(toy, tmp_path):
    """File of a toy config that trains and tests."""
    path = tmp_path / 'toy.py'
    toy.toy_config(tmp_path / 'work', name='file', **toy.test_part()).dump(str(path))
    return str(path)


def message(call, *argv):
    """The sentence with which a command line ends."""
    with pytest.raises(SystemExit) as exit_info:
        call([str(word) for word in argv])
    return str(exit_info.value.code)


@needs_mmdet3d
def test_train_resume_and_test_a_checkpoint(config, tmp_path, capsys):
    work = tmp_path / 'elsewhere'
    launcher.train([config, '--work-dir', str(work), '--cfg-options', 'train_cfg.max_iters=4'])
    assert (work / 'iter_3.pth').is_file() and (work / 'iter_4.pth').is_file()
    launcher.train([config, '--work-dir', str(work), '--resume', '--cfg-options',
                    'train_cfg.max_iters=6', 'experiment_name=resumed'])
    assert 'Resuming after 4 iterations, 8 samples' in log_of(work)
    assert 'schedule of the checkpoint ends at iteration 4, the training at iteration 6' \
        in log_of(work)
    launcher.test([config, str(work / 'iter_6.pth'), '--work-dir', str(work), '--cfg-options',
                   'experiment_name=tested'], show_dir=str(tmp_path / 'pictures'))
    assert 'calibration/recall_10deg_5m: 1.0' in log_of(work)
    assert len(list((tmp_path / 'pictures' / 'overlay').glob('toy_*_cam.png'))) == 12


@needs_mmdet3d
def test_config_is_written_unformatted_and_reads_the_same(config, tmp_path, monkeypatch):
    def format_code(*args, **kwargs):
        raise AssertionError('seconds of formatting')

    expected = {**Config.fromfile(config).to_dict(), 'launcher': 'none'}
    monkeypatch.setattr('mmengine.config.config.FormatCode', format_code)
    launcher.train([config, '--cfg-options', 'train_cfg.max_iters=3'])
    expected['train_cfg']['max_iters'] = 3
    expected['default_hooks']['schedule_end'] = dict(type='ScheduleEndHook')
    work = tmp_path / 'work'
    texts = [(work / 'toy.py').read_text(), next(work.glob('*/vis_data/config.py')).read_text(),
             torch.load(work / 'iter_3.pth', map_location='cpu')['meta']['cfg']]
    for text in texts:
        assert Config.fromstring(text, '.py').to_dict() == expected


@needs_mmdet3d
def test_amp_without_a_gpu_trains_in_bfloat16(config, tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, 'get_device', lambda: 'cpu')
    launcher.train([config, '--amp', '--cfg-options', 'train_cfg.max_iters=2'])
    dumped = next((tmp_path / 'work').glob('*.py')).read_text()
    assert "type='Bfloat16OptimWrapper'" in dumped


@needs_mmdet3d
def test_amp_on_a_gpu_is_mmengines_with_a_gradient_scaler(config, monkeypatch):
    """spconv has no bfloat16, and float16 needs a scaler."""
    asked = []
    monkeypatch.setattr(launcher, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(launcher, 'run_script',
                        lambda script, args, options: asked.append((args, options)))
    launcher.train([config, '--amp'])
    (args, options), = asked
    assert args.amp and 'optim_wrapper.type' not in options


@needs_mmdet3d
def test_statistics_of_several_processes_on_a_cpu_are_refused_before_they_meet(config,
                                                                               monkeypatch):
    monkeypatch.setattr(launcher, 'get_device', lambda: 'cpu')
    monkeypatch.setenv('LOCAL_RANK', '0')
    text = message(launcher.train, config, '--launcher', 'pytorch', '--cfg-options',
                   'sync_bn=torch')
    assert 'sync_bn=torch: needs GPUs' in text and 'leave it out' in text


@needs_mmdet3d
@pytest.mark.parametrize('part', ['train', 'test'])
def test_loading_without_workers_needs_one_option(config, tmp_path, part):
    """Where the config lets workers persist, as those of this project do."""
    with_workers = Config.fromfile(config)
    with_workers[f'{part}_dataloader'].update(num_workers=2, persistent_workers=True)
    with_workers.dump(str(tmp_path / 'workers.py'))
    call, *words = dict(train=(launcher.train, ), test=(launcher.test, 'none'))[part]
    call([str(tmp_path / 'workers.py'), *words, '--cfg-options',
          f'{part}_dataloader.num_workers=0', 'train_cfg.max_iters=1'])


@needs_mmdet3d
def test_without_a_checkpoint_the_random_model_is_tested(config, tmp_path, capsys):
    launcher.test([config, 'none', '--launcher', 'none'])
    assert 'No checkpoint: the model is tested at its random initialisation' \
        in capsys.readouterr().out
    figures = json.loads(next(tmp_path.rglob('*/[0-9]*.json')).read_text())
    assert figures['calibration/num_views'] == 12


@needs_mmdet3d
def test_checkpoint_of_another_model_is_one_sentence(config, tmp_path, toy):
    torch.save(dict(state_dict=toy.ToyModel(width=16).state_dict()), tmp_path / 'other.pth')
    text = message(launcher.test, config, tmp_path / 'other.pth')
    assert text.startswith('CheckpointMismatchError: The checkpoint holds 1 of the 8 tensors of '
                           'ToyModel') and '\n' not in text


@needs_mmdet3d
def test_truncated_checkpoint_is_one_sentence(config, tmp_path, toy):
    path = tmp_path / 'cut.pth'
    torch.save(dict(state_dict=toy.ToyModel().state_dict()), path)
    path.write_bytes(path.read_bytes()[:-30])
    for call, argv in ((launcher.test, [config, path]),
                       (launcher.train, [config, '--resume', path]),
                       (launcher.train, [config, '--cfg-options', f'load_from={path}'])):
        text = message(call, *argv)
        assert text.startswith(f"BrokenCheckpointError: checkpoint '{path}': expected a complete")
        assert 'take another one' in text and '\n' not in text


@pytest.fixture
def seen(monkeypatch):
    """Configs that mmdet3d's script gets, which then does not run."""
    configs, load = [], launcher.load_script

    def load_watched(name):
        script = load(name)

        def main():
            args = script.parse_args()
            config = script.Config.fromfile(args.config)
            config.merge_from_dict(args.cfg_options or {})
            configs.append(config)

        script.main = main
        return script

    monkeypatch.setattr(launcher, 'load_script', load_watched)
    return configs


@needs_mmdet3d
@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_on_a_cpu_the_workers_voxelise(seen, monkeypatch, device):
    monkeypatch.setattr(launcher, 'get_device', lambda: device)
    argv = ['configs/nclr/nclr_minkunet_demo.py', '--cfg-options',
            'model.data_preprocessor.voxel_size=[1.,1.,2.]']
    launcher.train(argv)
    launcher.test([argv[0], 'none', *argv[1:]])
    launcher.train([*argv, 'train_dataloader.num_workers=0'])
    expected = dict(type='pseudo_collate')
    if device == 'cpu':
        expected = dict(type='voxel_collate', voxel_size=[1., 1., 2.])
    assert seen[0].train_dataloader.collate_fn == expected
    assert seen[1].test_dataloader.collate_fn == expected
    assert seen[2].train_dataloader.collate_fn == dict(type='pseudo_collate')


@needs_mmdet3d
@pytest.mark.parametrize('wrapper', [None, 'RepeatDataset', 'ConcatDataset'])
def test_mismatched_image_control_reaches_the_test_set(config, seen, wrapper):
    content = Config.fromfile(config)
    inner = content.test_dataloader.dataset
    if wrapper:
        content.test_dataloader.dataset = dict(type=wrapper, datasets=[inner, dict(inner)]) \
            if wrapper == 'ConcatDataset' else dict(type=wrapper, dataset=inner, times=2)
        content.dump(config)
    launcher.test([config, 'none'], mismatched_image_control=True)
    launcher.test([config, 'none'])
    controlled, plain = (innermost_configs(each.test_dataloader.dataset) for each in seen)
    assert all(dataset.mismatched_image_control for dataset in controlled)
    assert not any('mismatched_image_control' in dataset for dataset in plain)


@needs_mmdet3d
@pytest.mark.parametrize('folder', ['my pictures', 'a,b', '[x]', '(1, 2)', '7', 'true', 'None',
                                    "o'brien \"x\"", 'a=b', '--odd'])
def test_folders_are_what_was_said(config, seen, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    launcher.test([config, 'none', f'--work-dir={folder}'], show_dir=folder)
    assert seen[0].default_hooks.pictures.out_dir == folder
    seen.clear()
    Path(config).write_text(Path(config).read_text() + """
submission = dict(
    dataset=dict(ann_file='hidden.pkl'),
    evaluator=dict(type='SemanticKittiSubmission', out_dir=None))
""")
    (tmp_path / 'hidden.pkl').touch()
    launcher.test([config, 'none'], submission=folder)
    assert seen[0].test_evaluator == dict(
        type='SemanticKittiSubmission', out_dir=str(tmp_path / folder))
    assert seen[0].test_dataloader.dataset.ann_file == 'hidden.pkl'


FINE_TUNING = """
train_dataloader['dataset']['ann_file'] = 'infos_train.pkl'
model['init_cfg'] = dict(type='NCLRPretrained', checkpoint=None)
fraction_epochs = [(1, 500), (100, 30)]
"""


@needs_mmdet3d
def test_fraction_and_checkpoint_reach_the_config_as_they_are(config, seen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(config).write_text(Path(config).read_text() + FINE_TUNING)
    for name in ('infos_train.pkl', 'infos_train_0.5.pkl'):
        (tmp_path / name).touch()
    launcher.train([config], fraction=0.5, checkpoint='a [1], b.pth')
    launcher.train([config, '--cfg-options', 'train_cfg.max_epochs=7'], fraction=0.5)
    launcher.train([config])
    both, overridden, neither = seen
    assert both.train_dataloader.dataset.ann_file == 'infos_train_0.5.pkl'
    assert both.model.init_cfg.checkpoint == 'a [1], b.pth'
    assert both.train_cfg.max_epochs == 500 and both.train_cfg.val_interval == 50
    assert overridden.train_cfg.max_epochs == 7 and overridden.model.init_cfg.checkpoint is None
    assert neither.train_dataloader.dataset.ann_file == 'infos_train.pkl'
    assert 'max_epochs' not in neither.train_cfg


@needs_mmdet3d
def test_cfg_options_override_other_options(config, seen):
    launcher.test([config, 'none', '--cfg-options', 'default_hooks.pictures.out_dir=b',
                   'default_hooks.pictures.max_frames=3'], show_dir='a')
    assert seen[0].default_hooks.pictures == dict(type='PictureHook', out_dir='b', max_frames=3)


@needs_mmdet3d
def test_pictures_and_logs_are_in_folders_with_odd_names(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    launcher.test([config, 'none', '--work-dir', 'none'], show_dir='my pictures, [1]')
    assert len(list((tmp_path / 'my pictures, [1]' / 'overlay').glob('toy_*_cam.png'))) == 12
    assert list((tmp_path / 'none').glob('*/*.log'))


@needs_mmdet3d
def test_augmentation_that_the_config_lacks_is_one_sentence(config):
    text = message(launcher.test, config, 'none', '--tta')
    assert "--tta expects 'tta_model' and 'tta_pipeline'" in text and '\n' not in text


@needs_mmdet3d
@pytest.mark.parametrize('call, argv', [(launcher.train, ['no/such.py']),
                                        (launcher.test, ['no/such.py', 'none'])])
def test_missing_config_is_one_sentence(call, argv):
    assert re.fullmatch('FileNotFoundError: no/such.py: no such config; .*', message(call, *argv))


@needs_mmdet3d
def test_missing_checkpoint_is_one_sentence(config):
    assert re.fullmatch('FileNotFoundError: no/such.pth: no such checkpoint; .*',
                        message(launcher.test, config, 'no/such.pth'))


@needs_mmdet3d
@pytest.mark.parametrize('workers', [0, 1])
def test_missing_data_root_is_one_sentence(config, tmp_path, workers):
    dataset = 'train_dataloader.dataset'
    text = message(
        launcher.train, config, '--cfg-options', f'{dataset}.type=CalibrationDataset',
        f'{dataset}.data_root={tmp_path}/absent', f'{dataset}.reader.type=KittiOdometryReader',
        f'{dataset}.reader.sequences=[90]', f'{dataset}.pipeline=[]',
        f'train_dataloader.num_workers={workers}')
    assert f'{tmp_path}/absent' in text and '\n' not in text
    assert text.split(':')[0].endswith('Error')


def test_absent_mmdet3d_is_one_sentence(monkeypatch):
    monkeypatch.setattr(launcher.importlib.util, 'find_spec', lambda name: None)
    text = message(launcher.train, 'any.py')
    assert 'mmdet3d, which is not installed: pip install' in text and '\n' not in text


def test_slurm_without_gpus_is_one_sentence(monkeypatch):
    monkeypatch.setattr(launcher, 'get_device', lambda: 'cpu')
    args = launcher.Namespace(launcher='slurm')
    with pytest.raises(OSError, match='--launcher slurm needs GPUs'):
        launcher.distributed_on_cpu(args)


def test_command_line_is_put_back():
    before = list(sys.argv)
    with pytest.raises(KeyError), launcher.command_line(['a']):
        assert sys.argv[1:] == ['a']
        raise KeyError
    assert sys.argv == before


def log_of(path):
    return '\n'.join(p.read_text() for p in path.rglob('*.log'))
