import csv
import os
import shutil
import sys

import pytest

from nclr_plugin.experiments import label_efficiency
from nclr_plugin.experiments.label_efficiency import main, parse


@pytest.fixture
def run(fine_tuning, weights, tools, tmp_path):
    """Function: the command line with two fractions and two seeds."""
    return lambda *argv: main(tools.folder, [
        str(fine_tuning), '--checkpoint', str(weights), '--fractions', '1', '10', '--seeds', '0',
        '1', '--out', str(tmp_path / 'out'), *map(str, argv)])


@pytest.fixture
def no_picture(monkeypatch):
    """A picture after each run takes longer than the runs here."""
    monkeypatch.setattr(label_efficiency, 'write_figure', lambda *_: None)


def test_runs_once_and_writes_results(run, tools, tmp_path, capsys):
    run('--jobs', 2)
    assert len(tools.calls()) == 8 * 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '8 runs, 0 of them finished before and skipped'
    assert sum('pretrained/fraction_10 seed 1: miou 0.260' in line for line in lines) == 1
    out = tmp_path / 'out'
    with (out / 'runs.csv').open() as file:
        found = {(r['init'], r['fraction'], r['seed']): float(r['miou'])
                 for r in csv.DictReader(file)}
    assert found == pytest.approx({
        (init, f'{fraction}', f'{seed}'): .2 * (init == 'pretrained') + fraction / 200 + .01 * seed
        for init in ('scratch', 'pretrained') for fraction in (1, 10) for seed in (0, 1)})
    document = (out / 'results.md').read_text()
    assert '| 1%     | 0.010 +- 0.007 | 0.210 +- 0.007 | +0.200' in document
    assert 'python tools/label_efficiency.py ' in document and '--seeds 0 1' in document
    assert (out / 'results.csv').is_file() and (out / 'results.png').is_file()

    run()
    assert len(tools.calls()) == 16
    assert capsys.readouterr().out == '8 runs, 8 of them finished before and skipped\n'


@pytest.mark.usefixtures('no_picture')
def test_more_seeds_and_fractions_leave_what_is_finished(run, tools, tmp_path):
    run('--seeds', 0, '--fractions', 1)
    run('--seeds', 0, 1, '--fractions', 1)
    assert len(tools.calls()) == 2 * 4
    shutil.rmtree(str(tmp_path / 'out' / 'scratch' / 'fraction_1' / 'seed_1'))
    run('--seeds', 0, 1, '--fractions', 1, 10)
    assert len(tools.calls()) == 2 * 9


@pytest.mark.usefixtures('no_picture')
def test_other_weights_do_not_mix_with_finished_runs(run, tools, weights, capsys):
    run()
    weights.write_bytes(b'other weights')
    with pytest.raises(SystemExit) as exit_info:
        run()
    message = str(exit_info.value.code)
    assert 'holds a training of other settings: model.checkpoint' in message
    assert len(tools.calls()) == 16, 'from scratch is not run again, pretrained not at all'


@pytest.mark.usefixtures('no_picture')
def test_metrics_may_be_named_and_renamed_without_running_again(run, tools, tmp_path):
    with pytest.raises(SystemExit, match='named ap; choose from: .*car, miou'):
        run('--metrics', 'ap')
    assert len(tools.calls()) == 16
    assert [path.name for path in (tmp_path / 'out').glob('*.*')] == ['runs.csv']
    run('--metrics', 'car', 'm*u', '--best')
    document = (tmp_path / 'out' / 'results.md').read_text()
    assert '### car' in document and '### miou' in document and 'scratch, best' in document
    assert len(tools.calls()) == 16


@pytest.mark.usefixtures('no_picture')
def test_jobs_are_listed_and_not_run(run, tools, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run('--fractions', 1)
    capsys.readouterr()
    calls = len(tools.calls())
    run('--list', 'torchrun', '--gpus', 2)
    comment, *lines = capsys.readouterr().out.splitlines()
    assert comment.startswith('# 4 of 8 runs are left.') and len(lines) == 4
    assert all('torchrun --standalone --nproc_per_node 2 tools/train.py ' in x for x in lines)
    assert len(tools.calls()) == calls
    for line in lines:
        # Without torchrun, as this machine would; afterwards the command finds them finished.
        line = line.replace('torchrun --standalone --nproc_per_node 2', sys.executable)
        assert os.system(line) == 0
    run()
    assert len(tools.calls()) == calls + 8
    assert capsys.readouterr().out == '8 runs, 8 of them finished before and skipped\n'


@pytest.mark.usefixtures('no_picture')
def test_a_failed_run_is_named_and_the_others_go_on(run, tmp_path):
    with pytest.raises(SystemExit) as exit_info:
        run('--seeds', 13, 0, '--fractions', 1)
    lines = str(exit_info.value.code).splitlines()
    assert lines[0] == '2 of 4 runs failed:'
    assert lines[1].startswith('  scratch/fraction_1 seed 13: failed: exit status 1, see ')
    assert '| 1%     | 0.005   | 0.205' in (tmp_path / 'out' / 'results.md').read_text()


def test_mistakes_end_in_a_sentence(run, tools, fine_tuning):
    with pytest.raises(SystemExit, match='FileNotFoundError: gone.py: no such config'):
        main(tools.folder, ['gone.py', '--out', 'x'])
    with pytest.raises(SystemExit, match='ValueError: --fractions 0: expected percent'):
        run('--fractions', 0)
    with pytest.raises(SystemExit, match='FileNotFoundError: --checkpoint gone.pth: no such file'):
        run('--checkpoint', 'gone.pth')
    # mmengine has no empty default values.
    fine_tuning.write_text(fine_tuning.read_text().replace('CHECKPOINT:none', 'CHECKPOINT:'))
    with pytest.raises(SystemExit, match='KeyError: .*NCLR_CHECKPOINT'):
        run()
    for wrong in (['--jobs', '0'], ['--list', 'pbs'], ['--gpus', 'x']):
        with pytest.raises(SystemExit):
            parse(['a.py', '--out', 'x', *wrong])
