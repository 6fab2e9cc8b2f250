import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nclr_plugin.engine import PoseLossScheduleHook

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
