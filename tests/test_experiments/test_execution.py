import json
import os
import stat
import subprocess
import sys
import threading
import time

import pytest
import torch

from nclr_plugin.experiments.execution import (FORMS, Processes, RunError, adopt, announce,
                                               carry_out, carry_out_all, clock, is_finished,
                                               is_trained, job_line, progress, read_test,
                                               samples_seen)
from nclr_plugin.experiments.label_efficiency import plan_label_runs
from nclr_plugin.experiments.runs import CONFIG_TEST_SET, TEST, TestSet, commit

SETS = [CONFIG_TEST_SET, TestSet('v1.2', ('model.width=9', ))]


def test_trains_and_evaluates_once(make_run, tools):
    run = make_run(3)
    assert not is_finished(run, SETS)
    carry_out(run, SETS, tools.folder, Processes())
    assert [line.split()[0] for line in tools.calls()] == ['train', 'test', 'test']
    assert str(run.folder / 'iter_7.pth') in tools.calls()[1]
    assert is_finished(run, SETS)
    carry_out(run, SETS, tools.folder, Processes())
    assert len(tools.calls()) == 3
    record = read_test(run, SETS[1])
    assert record['samples'] == 7 * 3
    assert record['metrics']['calibration/recall_10deg_5m'] == .5
    assert record['commits'] == [commit()]


def test_an_interrupted_training_goes_on(make_run, tools):
    run = make_run()
    carry_out(run, SETS, tools.folder, Processes())
    record = json.loads((run.folder / 'training.json').read_text())
    (run.folder / 'training.json').write_text(json.dumps({**record, 'finished': False}))
    assert not is_finished(run, SETS)
    carry_out(run, SETS, tools.folder, Processes())
    assert tools.calls()[3].startswith('train') and '--resume' in tools.calls()[3]
    # The checkpoint was written anew: what was measured on the old one is measured again.
    assert len(tools.calls()) == 6


def test_another_test_set_needs_no_training(make_run, tools):
    run = make_run()
    carry_out(run, SETS[:1], tools.folder, Processes())
    carry_out(run, SETS, tools.folder, Processes())
    assert [line.split()[0] for line in tools.calls()] == ['train', 'test', 'test']
    changed = [TestSet(TEST, ('test_dataloader.batch_size=2', ))]
    assert not is_finished(run, changed) and is_trained(run)


def test_a_folder_of_other_settings_is_not_touched(make_run, tools):
    carry_out(make_run(), SETS, tools.folder, Processes())
    changed = make_run(options=('model.width=5', ))
    assert not is_finished(changed, SETS)
    with pytest.raises(RunError, match=r'training with other settings: model.width \(model.width '
                                       r'was 4\); choose another --out'):
        carry_out(changed, SETS, tools.folder, Processes())
    assert len(tools.calls()) == 3


def test_a_given_checkpoint_is_evaluated_without_training(make_run, tools, tmp_path):
    torch.save(dict(meta=dict(iter=11)), str(tmp_path / 'given.pth'))
    run = make_run(checkpoint=str(tmp_path / 'given.pth'))
    carry_out(run, SETS, tools.folder, Processes())
    assert [line.split()[0] for line in tools.calls()] == ['test', 'test']
    assert read_test(run, SETS[0])['samples'] == 33 and is_finished(run, SETS)
    os.utime(str(tmp_path / 'given.pth'), (1, 1))
    assert not is_finished(run, SETS), 'another file'
    assert samples_seen('none', 3) == 0


def test_failure_names_the_log_and_its_last_line(make_run, tools):
    run = make_run(13)
    with pytest.raises(RunError, match=rf'exit status 1, see {run.folder}/train.log: RuntimeError: '
                                       'an unlucky number'):
        carry_out(run, SETS, tools.folder, Processes())
    assert not is_finished(run, SETS)


def test_a_training_without_checkpoint_is_a_failure(make_run, tools):
    (tools.folder / 'train.py').write_text('')
    with pytest.raises(RunError, match='left no checkpoint'):
        carry_out(make_run(), SETS, tools.folder, Processes())


@pytest.mark.parametrize('failing', [[1], [1, 2]], ids=['at first', 'to the end'])
def test_results_that_cannot_be_written_are_told_at_once_and_stop_no_run(
        make_run, tools, capsys, failing):
    written = []

    def write():
        written.append(len(tools.calls()))
        if len(written) in failing or failing == [1, 2]:
            raise PermissionError('results.md')

    runs = [make_run(seed) for seed in (1, 2)]
    if failing == [1]:
        carry_out_all(runs, [CONFIG_TEST_SET], tools.folder, 1, write, lambda run: 'fine')
    else:
        with pytest.raises(PermissionError, match='results.md'):
            carry_out_all(runs, [CONFIG_TEST_SET], tools.folder, 1, write, lambda run: 'fine')
    assert all(is_finished(run, [CONFIG_TEST_SET]) for run in runs)
    lines = capsys.readouterr().out.splitlines()
    assert 'results not written: PermissionError: results.md' in lines[1]
    assert len(written) == 2 + (failing == [1, 2])


def test_stopping_ends_children_and_starts_no_more(tmp_path):
    processes, errors = Processes(), []

    def sleep():
        try:
            processes.run([sys.executable, '-c', 'import time; print(1, flush=True); '
                           'time.sleep(60)'], tmp_path / 'log')
        except RunError as error:
            errors.append(str(error))

    thread = threading.Thread(target=sleep)
    thread.start()
    for _ in range(200):
        if (tmp_path / 'log').is_file() and (tmp_path / 'log').stat().st_size:
            break
        time.sleep(0.05)
    processes.stop()
    thread.join(timeout=20)
    assert not thread.is_alive() and errors[0].startswith('exit status -15')
    with pytest.raises(RunError, match='stopped before it started'):
        processes.run([sys.executable, '-c', ''], tmp_path / 'log')


@pytest.fixture
def runs(fine_tuning, weights, tmp_path):
    """Plan runs from scratch and pretrained, in a folder with a blank in its name."""
    return [r.run for r in plan_label_runs(str(fine_tuning), dict(ours=str(weights)), [10], [3],
                                           str(tmp_path / 'out of it'))]


@pytest.fixture
def run_line(tmp_path):
    """Return a function that runs a line with launchers that record their flags."""
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
        run_line(job_line(run, tools.folder, form, 4), SRUN_ARGS='--partition=night')
        assert not is_finished(run, [CONFIG_TEST_SET])
        adopt(run, CONFIG_TEST_SET)
        assert is_finished(run, [CONFIG_TEST_SET])
    # Fraction and weights reached the training: see the fixture `tools`.
    assert read_test(runs[0], CONFIG_TEST_SET)['metrics']['miou'] == pytest.approx(.05 + .03)
    assert read_test(runs[1], CONFIG_TEST_SET)['metrics']['miou'] == pytest.approx(.05 + .03 + .2)
    assert read_test(runs[0], CONFIG_TEST_SET)['samples'] == 7 * 3
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
    assert line.startswith("( export NCLR_DEMO_ROOT='my data'; python ") and 'ELSE' not in line


def test_a_config_without_variables_needs_no_export(fine_tuning, tools, tmp_path):
    fine_tuning.write_text(fine_tuning.read_text().replace('{{$NCLR_DEMO_ROOT:data/demo}}', 'x'))
    run = plan_label_runs(str(fine_tuning), {}, [10], [3], str(tmp_path))[0].run
    assert job_line(run, tools.folder, 'shell').startswith('( python ')


def test_what_has_not_ended_is_not_adopted(runs, tools, run_line):
    run = runs[0]
    adopt(run, CONFIG_TEST_SET)  # nothing is there
    announce(run)
    line = job_line(run, tools.folder, 'shell')
    train_only = line.split(' && ')[0] + ' )'
    run_line(train_only)
    adopt(run, CONFIG_TEST_SET)
    assert not is_finished(run, [CONFIG_TEST_SET])

    run_line(line)
    figures = next((run.folder / 'tests').rglob('*.json'))
    os.utime(str(figures), (1, 1))  # figures of an older checkpoint
    adopt(run, CONFIG_TEST_SET)
    assert not is_finished(run, [CONFIG_TEST_SET])


def test_numbers_of_processes_are_positive(runs, tools):
    with pytest.raises(ValueError, match='--gpus 0: expected at least 1'):
        job_line(runs[0], tools.folder, 'slurm', 0)


def test_estimate_of_the_rest():
    assert progress(1, 4, 100., 'a seed 0', 'well') == \
        '[1/4] 0:01:40 a seed 0: well; about 0:05:00 left'
    assert progress(4, 4, 3700., 'a', 'b') == '[4/4] 1:01:40 a: b'
    assert clock(59.9) == '0:00:59'
