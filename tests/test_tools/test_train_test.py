"""The scripts themselves; what they run is tested with the package."""
import importlib
import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HELPERS = ROOT / 'tests' / 'helpers'


@pytest.mark.parametrize('name', ['train', 'test'])
def test_wrong_config_ends_in_one_line(name, tmp_path, monkeypatch):
    if importlib.util.find_spec('mmdet3d') is None:
        pytest.skip('runs on mmdet3d, which is not installed')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', sys.path.copy())  # the script puts its checkout first
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', 'absent.py', *['none'] * (name == 'test')])
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_path(str(ROOT / 'tools' / f'{name}.py'), run_name='__main__')
    # A sentence as the exit's code is printed, and makes the status 1.
    text = exit_info.value.code
    assert text.startswith('FileNotFoundError: absent.py: no such conf') and '\n' not in text


def test_two_processes_on_cpu(tmp_path):
    """As processes, from another folder."""
    if importlib.util.find_spec('mmdet3d') is None:
        pytest.skip('runs on mmdet3d, which is not installed')
    toy = importlib.import_module('toy')
    toy.toy_config(tmp_path).dump(str(tmp_path / 'toy.py'))
    environment = {k: v for k, v in os.environ.items() if k != 'OMP_NUM_THREADS'}
    result = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2',
         str(ROOT / 'tools' / 'train.py'), str(tmp_path / 'toy.py'), '--launcher', 'pytorch',
         '--cfg-options', 'train_cfg.max_iters=2'],
        env={**environment, 'PYTHONPATH': str(HELPERS), 'CUDA_VISIBLE_DEVICES': ''},
        cwd=str(HELPERS), capture_output=True, text=True, timeout=180)
    assert result.returncode == 0, result.stderr[-3000:]
    assert (tmp_path / 'iter_2.pth').is_file()


@pytest.mark.parametrize('name, flags', [
    ('train', ['--fraction PERCENT', '--checkpoint FILE', '--amp']),
    ('test', ['--show-dir DIR', '--mismatched-image-control', '--submission DIR', '--tta'])])
def test_help_lists_flags_of_mmdet3d_and_ours(name, flags, capsys):
    if importlib.util.find_spec('mmdet3d') is None:
        pytest.skip('runs on mmdet3d, which is not installed')
    with pytest.raises(SystemExit) as exit_info:
        load(name)['main'](['--help'])
    assert exit_info.value.code == 0
    printed = capsys.readouterr().out
    assert all(flag in printed for flag in flags) and printed.count('usage:') == 1


@pytest.mark.parametrize('argv, rest, options', [
    (['train', 'c.py', '--fraction', '0.5', '--amp', '--checkpoint', 'a [1], b.pth'],
     ['c.py', '--amp'], dict(fraction=0.5, checkpoint='a [1], b.pth')),
    (['train', 'c.py', '--fraction=1'], ['c.py'], dict(fraction=1., checkpoint=None)),
    (['test', 'c.py', 'w.pth', '--show-dir=--odd', '--submission', 'my files'],
     ['c.py', 'w.pth'],
     dict(show_dir='--odd', mismatched_image_control=False, submission='my files')),
    (['test', '--mismatched-image-control', 'c.py', 'w.pth', '--cfg-options', 'show=1'],
     ['c.py', 'w.pth', '--cfg-options', 'show=1'],
     dict(show_dir=None, mismatched_image_control=True, submission=None))])
def test_our_flags_are_options_and_the_others_are_mmdet3ds(argv, rest, options, monkeypatch):
    calls = []
    main = load(argv[0])['main']
    monkeypatch.setitem(main.__globals__, argv[0],
                        lambda argv, **options: calls.append((argv, options)))
    main(argv[1:])
    (words, given), = calls
    given.pop('more_help')
    assert words == rest and given == options


def load(name):
    """The names of a script that is imported, not run."""
    path = sys.path.copy()
    try:
        return runpy.run_path(str(ROOT / 'tools' / f'{name}.py'))
    finally:
        sys.path[:] = path  # the script puts its checkout first
