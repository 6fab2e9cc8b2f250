import os
import threading
import time

from nclr_plugin.experiments.environment import environment


def test_variables_are_set_and_unset_for_a_while(monkeypatch):
    monkeypatch.setenv('NCLR_A', 'before')
    monkeypatch.setenv('NCLR_B', 'before')
    monkeypatch.delenv('NCLR_C', raising=False)
    with environment((('NCLR_A', None), ('NCLR_B', 'x'), ('NCLR_C', 'y'), ('NCLR_D', None))):
        assert 'NCLR_A' not in os.environ
        assert (os.environ['NCLR_B'], os.environ['NCLR_C']) == ('x', 'y')
    assert (os.environ['NCLR_A'], os.environ['NCLR_B']) == ('before', 'before')
    assert 'NCLR_C' not in os.environ and 'NCLR_D' not in os.environ


def test_threads_do_not_see_those_of_each_other():
    seen = []

    def look(value):
        with environment((('NCLR_A', value), )):
            time.sleep(0.02)
            seen.append((value, os.environ['NCLR_A']))

    threads = [threading.Thread(target=look, args=(str(i), )) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8 and all(wanted == found for wanted, found in seen)
