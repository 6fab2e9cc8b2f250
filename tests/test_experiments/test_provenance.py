import os
import subprocess

from nclr_plugin.experiments.provenance import command_line, commit, machine


def test_commit_is_that_of_git():
    try:
        head = subprocess.check_output(['git', 'rev-parse', 'HEAD'], text=True,
                                       cwd=os.path.dirname(__file__), stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        assert commit() == 'unknown'
    else:
        assert head.startswith(commit().split('-')[0])


def test_machine_is_named():
    assert ' cores' in machine() and not machine().startswith(',')


def test_command_can_be_repeated():
    assert command_line('ablation.py', ['a.py', '--out', 'my dir'],
                        dict(NCLR_LINEAR_PROBE='1', NCLR_DEMO_ROOT='a b')) \
        == "NCLR_DEMO_ROOT='a b' NCLR_LINEAR_PROBE=1 python tools/ablation.py a.py --out 'my dir'"
