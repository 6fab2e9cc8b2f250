import json
import os
import sys
import threading
import time

import pytest
import torch

from nclr_plugin.experiments.execution import (Processes, RunError, carry_out, is_finished,
                                               is_trained, read_test, samples_seen)
from nclr_plugin.experiments.plan import TEST, TestSet
from nclr_plugin.experiments.provenance import commit

SETS = [TestSet(TEST), TestSet('v1.2', ('model.width=9', ))]


def test_trains_and_evaluates_once(make_run, tools):
    run = make_run(3)
    assert not is_finished(run, SETS)
    carry_out(run, SETS, tools.folder, Processes())
    assert [line.split()[0] for line in tools.calls()] == ['train', 'test', 'test']
    assert tools.calls()[0].endswith(' 1'), 'one OpenMP thread'
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
    with pytest.raises(RunError, match=r'training of other settings: model.width \(model.width was '
                                       r'4\); choose another --out'):
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
    with pytest.raises(RunError, match='stopped before it began'):
        processes.run([sys.executable, '-c', ''], tmp_path / 'log')
