import pytest
import torch

from nclr_plugin.engine import FreezeNormHook


def test_statistics_stand_still_from_begin_on_and_scale_is_learned(toy, tmp_path):
    class Watch(toy.Hook):
        priority = 'LOW'  # after the hook under test
        seen = []

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            self.seen.append((norm.training, norm.running_mean.clone(), norm.weight.clone()))

    runner = toy.build_runner(tmp_path, [Watch(), FreezeNormHook(0.5)])
    norm = next(m for m in runner.model.modules() if isinstance(m, torch.nn.BatchNorm1d))
    runner.train()
    modes, means, weights = zip(*Watch.seen)
    assert modes == (True, ) * 5 + (False, ) * 5
    assert not torch.equal(means[0], means[5])
    assert all(torch.equal(means[5], mean) for mean in means[6:])
    assert not torch.equal(weights[6], weights[9])


@pytest.mark.parametrize('begin', [-0.1, 1.1])
def test_impossible_begin_is_refused(begin):
    with pytest.raises(ValueError, match=f'begin={begin}'):
        FreezeNormHook(begin)
