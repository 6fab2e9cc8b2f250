"""Errors that a user can mend: one sentence and an exit status that is not 0."""
import shutil

import pytest
import torch

QUICK = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 100, 'train_cfg.val_begin': 100}
READER = 'train_dataloader.dataset.reader'


@pytest.fixture
def truncated(demo, tmp_path):
    """Options for a copy of the world in which one scan is cut off."""
    root = tmp_path / 'world'
    shutil.copytree(str(demo['train_dataloader.dataset.data_root']), str(root))
    scan = root / 'sequences' / '00' / 'velodyne' / '000002.bin'
    scan.write_bytes(scan.read_bytes()[:-5])
    return {**demo, **QUICK, 'train_dataloader.dataset.data_root': root}, scan


def test_data_root_that_does_not_exist(run, demo_config, demo, tmp_path):
    root = tmp_path / 'nowhere'
    text = run.fails('train', demo_config, '--work-dir', tmp_path / 'work',
                     options={**demo, 'train_dataloader.dataset.data_root': root})
    assert text.startswith('FileNotFoundError: ') and str(root) in text
    assert 'sequences/XX/{image_2,velodyne,calib.txt}' in text


@pytest.mark.parametrize('weights, words', [
    ('http://127.0.0.1:9/resnet.pth', ('unreachable', 'give its path, or None for random')),
    ('nowhere.pth', ('"nowhere.pth" not found', 'or None for random weights'))])
def test_image_weights_that_are_not_there_stop_the_training(run, demo_config, demo, tmp_path,
                                                            weights, words):
    text = run.fails('train', demo_config, '--work-dir', tmp_path / 'work',
                     options={**demo, **QUICK, 'model.image_branch.weights': weights})
    assert weights in text and all(word in text for word in words)


def test_unknown_sequence_ends_a_process_with_a_status(run, demo_config, demo, tmp_path):
    ended = run.process('train', demo_config, '--work-dir', tmp_path,
                        options={**demo, f'{READER}.sequences': '[42]'})
    assert ended.returncode == 1
    assert 'Traceback' not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("FileNotFoundError: sequence '42' is unknown") and "'00'" in last


@pytest.mark.parametrize('workers', [0, 1])
def test_truncated_scan_stops_a_strict_run(run, demo_config, truncated, tmp_path, workers):
    options, scan = truncated
    text = run.fails('train', demo_config, '--work-dir', tmp_path / 'work', options={
        **options, 'train_dataloader.num_workers': workers,
        'train_dataloader.persistent_workers': workers > 0,
        'train_dataloader.dataset.skip_broken': False})
    for part in ('BrokenFrameError', '00/000002', str(scan), '16 bytes', 'cut off'):
        assert part in text


def test_truncated_scan_is_skipped_and_listed(run, demo_config, truncated, log, tmp_path):
    options, scan = truncated
    run('train', demo_config, '--work-dir', tmp_path / 'work', options={
        **options, 'train_dataloader.num_workers': 1,
        'train_dataloader.persistent_workers': True,
        'train_dataloader.dataset.skip_broken': True})
    text = log(tmp_path / 'work')
    summary = text[text.index('1 broken frames were skipped:'):]
    assert f"00/000002: scan '{scan}'" in summary and 'cut off' in summary
    assert (tmp_path / 'work' / 'iter_2.pth').is_file()


@pytest.fixture
def other_checkpoint(tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(dict(meta={}, state_dict=torch.nn.Linear(3, 4).state_dict()), path)
    return path


def test_checkpoint_of_another_model_is_not_evaluated(run, demo_config, demo, other_checkpoint,
                                                      tmp_path):
    text = run.fails('test', demo_config, other_checkpoint, '--work-dir', tmp_path / 'work',
                     options=demo)
    assert text.startswith('CheckpointMismatchError: The checkpoint holds 0 of the ')
    assert 'tensors of NCLR' in text and 'unexpected 2: weight, bias' in text


def test_checkpoint_of_another_model_is_not_trained_on(run, demo_config, demo, other_checkpoint,
                                                       tmp_path):
    text = run.fails('train', demo_config, '--work-dir', tmp_path / 'work',
                     options={**demo, **QUICK, 'load_from': other_checkpoint})
    assert text.startswith('CheckpointMismatchError: The checkpoint holds 0 of the ')


def test_broken_calibration_is_found_before_training(run, demo_config, truncated, tmp_path):
    options, _ = truncated
    calibration = options['train_dataloader.dataset.data_root'] / 'sequences' / '00' / 'calib.txt'
    lines = calibration.read_text().splitlines()
    calibration.write_text('\n'.join(line for line in lines if not line.startswith('Tr')))
    text = run.fails('train', demo_config, '--work-dir', tmp_path / 'work', options=options)
    assert str(calibration) in text and 'Tr' in text
