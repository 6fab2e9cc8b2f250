import os
import stat
import subprocess
import sys

import pytest

from nclr_plugin.experiments.execution import adopt, announce, is_finished, read_test
from nclr_plugin.experiments.jobs import FORMS, job_line
from nclr_plugin.experiments.label_plan import plan_label_runs
from nclr_plugin.experiments.plan import TEST, TestSet

TEST_SET = TestSet(TEST)


@pytest.fixture
def runs(fine_tuning, weights, tmp_path):
    """From scratch and pretrained, in a folder with a blank in its name."""
    return [r.run for r in plan_label_runs(str(fine_tuning), dict(ours=str(weights)), [10], [3],
                                           str(tmp_path / 'out of it'))]


@pytest.fixture
def run_line(tmp_path):
    """Function: run a line in a shell in which the launchers note their flags and start one."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name, skip in (('torchrun', ''), ('srun', 'shift')):
        (folder / name).write_text(
            '#!/bin/bash\n'
            f'echo {name} "$@" >> {tmp_path}/launched\n'
            f'while [[ $1 == -* || $1 == [0-9] ]]; do shift; done; {skip}\n'
            f'exec {sys.executable} "$@"\n')
    (folder / 'python').write_text(f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    for path in folder.iterdir():
        path.chmod(path.stat().st_mode | stat.S_IEXEC)

    def run_line(line, **variables):
        subprocess.run(['bash', '-c', line], check=True, env={
            **os.environ, 'PATH': f"{folder}:{os.environ['PATH']}", **variables})

    return run_line


@pytest.mark.parametrize('form', FORMS)
def test_a_line_trains_tests_and_is_adopted(runs, tools, run_line, tmp_path, form):
    for run in runs:
        announce(run)
        run_line(job_line(run, tools.folder, form, 4), NCLR_CHECKPOINT='of the user',
                 SRUN_ARGS='--partition=night')
        assert not is_finished(run, [TEST_SET])
        adopt(run, TEST_SET)
        assert is_finished(run, [TEST_SET])
    # The variables reached the processes: see the fixture `tools`.
    assert read_test(runs[0], TEST_SET)['metrics']['miou'] == pytest.approx(.05 + .03)
    assert read_test(runs[1], TEST_SET)['metrics']['miou'] == pytest.approx(.05 + .03 + .2)
    assert read_test(runs[0], TEST_SET)['samples'] == 7 * 3
    train, test = tools.calls()[:2]
    assert train.startswith('train ') and '--resume' in train
    assert f"{runs[0].folder / 'iter_7.pth'} --work-dir" in test
    if form == 'shell':
        assert '--launcher' not in train + test
        return
    launched = (tmp_path / 'launched').read_text().splitlines()
    assert len(launched) == 4
    if form == 'torchrun':
        assert '--launcher pytorch' in train and '--launcher pytorch' in test
        assert launched[0].startswith('torchrun --standalone --nproc_per_node 4 ')
    else:
        assert '--launcher slurm' in train and '--launcher slurm' in test
        assert launched[3].startswith('srun --job-name=ours_fraction_10_3 --gres=gpu:4 --ntasks=4 ')
        assert ' --partition=night python -u ' in launched[0]


def test_more_gpus_than_a_node_has(runs, tools):
    assert '--gres=gpu:8 --ntasks=16 --ntasks-per-node=8' in job_line(
        runs[0], tools.folder, 'slurm', 16)


def test_variables_that_the_config_reads_are_in_the_line(runs, tools, monkeypatch):
    monkeypatch.setenv('NCLR_DEMO_ROOT', 'my data')
    monkeypatch.setenv('NCLR_ELSE_ROOT', 'not read')
    line = job_line(runs[0], tools.folder, 'shell')
    assert line.startswith("( unset NCLR_CHECKPOINT; export NCLR_DEMO_ROOT='my data' "
                           'NCLR_FRACTION=10; python ')


def test_what_has_not_ended_is_not_adopted(runs, tools, run_line):
    run = runs[0]
    adopt(run, TEST_SET)  # nothing is there
    announce(run)
    line = job_line(run, tools.folder, 'shell')
    train_only = line.split(' && ')[0] + ' )'
    run_line(train_only)
    adopt(run, TEST_SET)
    assert not is_finished(run, [TEST_SET])

    run_line(line)
    figures = next((run.folder / 'tests').rglob('*.json'))
    os.utime(str(figures), (1, 1))  # figures of an older checkpoint
    adopt(run, TEST_SET)
    assert not is_finished(run, [TEST_SET])
