"""The scripts themselves, as processes; what they run is tested with the package."""
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / 'tests' / 'test_engine'


def run(script, *argv, **variables):
    """A script of tools/ from another folder."""
    variables.setdefault('PYTHONPATH', str(TOY))
    environment = {k: v for k, v in os.environ.items() if k != 'OMP_NUM_THREADS'}
    return subprocess.run([sys.executable, *script, *map(str, argv)],
                          env={**environment, **variables}, cwd=str(TOY), capture_output=True,
                          text=True, timeout=180)


@pytest.mark.parametrize('name', ['train', 'test'])
def test_wrong_config_ends_in_one_line(name):
    if importlib.util.find_spec('mmdet3d') is None:
        pytest.skip('runs on mmdet3d, which is not installed')
    result = run([ROOT / 'tools' / f'{name}.py'], 'absent.py', *['none'] * (name == 'test'))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith('FileNotFoundError: absent.py: no such conf')
    assert 'Traceback' not in result.stderr


def test_two_processes_on_cpu(tmp_path):
    if importlib.util.find_spec('mmdet3d') is None:
        pytest.skip('runs on mmdet3d, which is not installed')
    code = ('import sys, toy; '
            'toy.toy_config(sys.argv[1]).dump(sys.argv[1] + "/toy.py")')
    made = run(['-c', code], tmp_path, PYTHONPATH=f'{ROOT}{os.pathsep}{TOY}')
    assert made.returncode == 0, made.stderr
    result = run(['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2',
                  ROOT / 'tools' / 'train.py'], tmp_path / 'toy.py', '--launcher', 'pytorch',
                 '--cfg-options', 'train_cfg.max_iters=2', CUDA_VISIBLE_DEVICES='')
    assert result.returncode == 0, result.stderr[-3000:]
    assert (tmp_path / 'iter_2.pth').is_file()
