"""Scale of the pose loss over a training, and a warning after the end of the schedule."""
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nclr_plugin.engine import PoseLossScheduleHook, ScheduleEndHook

SHARES = st.floats(0, 1)


@given(SHARES, SHARES, SHARES)
def test_scale_is_the_clipped_ramp(a, b, progress):
    begin, end = sorted((a, b))
    scale = PoseLossScheduleHook(begin, end).scale(progress)
    assert 0 <= scale <= 1
    if end > begin:
        assert scale == pytest.approx(np.interp(progress, [begin, end], [0, 1]), abs=1e-9)
    else:
        assert scale == float(progress >= begin)


@pytest.mark.parametrize('begin, end', [(0.5, 0.4), (-0.1, 1), (0, 1.1)])
def test_impossible_range_is_refused(begin, end):
    with pytest.raises(ValueError, match='0 <= begin <= end <= 1'):
        PoseLossScheduleHook(begin, end)


def test_model_follows_the_iterations_of_the_runner(toy, tmp_path):
    class Watch(toy.Hook):
        scales = []

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            self.scales.append(runner.model.pose_loss_scale)

    toy.build_runner(tmp_path, [Watch(), PoseLossScheduleHook(0.2, 0.6)]).train()
    assert Watch.scales == pytest.approx([0, 0, 0, .25, .5, .75, 1, 1, 1, 1])


def test_model_without_the_scale_is_refused(toy, tmp_path):
    runner = toy.build_runner(tmp_path, [PoseLossScheduleHook(0, 1)])
    del runner.model.pose_loss_scale
    with pytest.raises(AttributeError, match='ToyModel has no pose_loss_scale'):
        runner.train()


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
