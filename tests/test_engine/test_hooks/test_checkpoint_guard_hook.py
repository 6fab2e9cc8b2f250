import pytest
import torch

from nclr_plugin.engine import CheckpointGuardHook
from nclr_plugin.errors import CheckpointMismatchError


@pytest.mark.parametrize('resume', [False, True])
def test_checkpoint_of_another_model_stops_the_runner(toy, tmp_path, resume):
    toy.build_runner(tmp_path / 'other', name='first', **{'model.width': 16}).train()
    runner = toy.build_runner(tmp_path, [CheckpointGuardHook()], name='second', resume=resume,
                              load_from=str(tmp_path / 'other' / 'iter_9.pth'))
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    with pytest.raises(CheckpointMismatchError, match='of another model'):
        runner.train()
    assert all(torch.equal(v, runner.model.state_dict()[k]) for k, v in before.items()
               if 'weight' not in k)


def test_own_checkpoint_loads(toy, tmp_path):
    toy.build_runner(tmp_path / 'a', name='first').train()
    runner = toy.build_runner(tmp_path / 'b', [CheckpointGuardHook()], name='second')
    loaded = runner.load_checkpoint(str(tmp_path / 'a' / 'iter_9.pth'))
    for name, value in loaded['state_dict'].items():
        assert torch.equal(runner.model.state_dict()[name], value), name


def test_impossible_share_is_refused():
    with pytest.raises(ValueError, match='share, 0 to 1, found 2'):
        CheckpointGuardHook(min_match=2)
