"""The progress line of tools/quickstart.sh, with a program that logs as mmengine does."""
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / 'tools' / 'quickstart.sh'
LOGS = """
import os, sys, time
print('a listing of the framework, process', os.getpid(), flush=True)
for step in (10, 20):
    print(f'11/29 23:00:45 - mmengine - INFO - Iter(train) [  {step}/4000]  lr: 7.0e-04  '
          f'eta: 0:11:03  time: 0.1  loss: 9.9{step}  loss_point: 4.1', file=sys.stderr, flush=True)
time.sleep(float(sys.argv[2]))
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def start(tmp_path):
    """Function: exit status and duration of the program -> the running shell that shows it."""
    functions = re.search(r'(?ms)^# quiet LOG.*?(?=^create_data)', SCRIPT.read_text()).group()
    program = tmp_path / 'program.py'
    program.write_text(LOGS)

    def run(status, seconds):
        command = f'quiet {tmp_path}/log step {sys.executable} {program} {status} {seconds}'
        return subprocess.Popen(['bash', '-euc', f'{functions}\n{command}'],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return run


def test_output_goes_to_the_log(start, tmp_path):
    shell = start(0, 0)
    printed, errors = shell.communicate(timeout=60)
    assert shell.returncode == 0 and not errors
    assert printed == f'    log: {tmp_path}/log\n'
    assert 'a listing of the framework' in (tmp_path / 'log').read_text()


def test_a_failure_shows_the_end_of_the_log(start):
    shell = start(3, 0)
    _, errors = shell.communicate(timeout=60)
    assert shell.returncode == 1
    assert 'The end of' in errors and '[  20/4000]' in errors


def progress(log):
    """Text of the progress line after a log."""
    function = re.search(r'(?ms)^progress\(\) \{.*?^\}', SCRIPT.read_text()).group()
    return subprocess.run(['bash', '-euc', f'{function}\nprogress {log} step'],
                          capture_output=True, text=True, check=True).stdout


def test_progress_is_the_last_step(start, tmp_path):
    start(0, 0).communicate(timeout=60)
    assert progress(tmp_path / 'log') == 'step 20 of 4000, loss 9.920, 0:11:03 left'
    (tmp_path / 'log').write_text('scene 60/660\nscene 120/660\n')  # create_demo_data.py
    assert progress(tmp_path / 'log') == 'step 120 of 660'
    (tmp_path / 'log').write_text('11/29 23:00:45 - mmengine - INFO - Config:\n')
    assert progress(tmp_path / 'log') == 'starting'


def test_interrupting_ends_the_program(start, tmp_path):
    shell = start(0, 30)
    log, pid = tmp_path / 'log', None
    for _ in range(100):
        time.sleep(0.1)
        pid = log.exists() and re.search(r'process (\d+)', log.read_text())
        if pid:
            break
    shell.send_signal(signal.SIGTERM)
    shell.communicate(timeout=20)
    assert shell.returncode != 0
    time.sleep(0.5)
    status = Path(f'/proc/{pid.group(1)}/status')
    assert not status.exists() or 'State:\tZ' in status.read_text()  # gone, or not yet reaped
