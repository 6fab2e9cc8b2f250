"""A resumed training whose learning rate no longer changes."""
from types import SimpleNamespace

import pytest

from nclr_plugin.engine import ScheduleEndHook


@pytest.fixture
def told():
    """Function: ends of schedules -> what the hook says."""

    def run(*schedules, resume=True, by_optimizer=False, **ends):
        optimizer = SimpleNamespace(param_groups=[dict(lr=1e-7)])
        schedulers = [SimpleNamespace(end=end, by_epoch=unit == 'epoch', optimizer=optimizer)
                      for end, unit in schedules]
        said = []
        ScheduleEndHook().before_train(SimpleNamespace(
            _resume=resume, max_iters=600, max_epochs=6, logger=SimpleNamespace(
                warning=said.append),
            param_schedulers=dict(a=schedulers[:1], b=schedulers[1:]) if by_optimizer
            else schedulers))
        return said

    return run


def test_a_schedule_that_ends_early_is_told(told):
    text, = told((30, 'iteration'), (400, 'iteration'))
    assert 'ends at iteration 400, the training at iteration 600' in text
    assert '1e-07' in text and 'load_from=CHECKPOINT' in text
    assert 'epoch 3, the training at epoch 6' in told((3, 'epoch'))[0]
    assert len(told((30, 'iteration'), (5, 'epoch'), by_optimizer=True)) == 1


def test_a_schedule_that_lasts_is_not_told(told):
    assert told((30, 'iteration'), (600, 'iteration')) == []
    assert told((10**9, 'epoch')) == [] and told() == []
    assert told((400, 'iteration'), resume=False) == []  # meant so by its config
