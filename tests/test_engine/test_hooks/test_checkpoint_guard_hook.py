import pytest
import torch
from torch import nn

from nclr_plugin.engine import CheckpointGuardHook
from nclr_plugin.errors import CheckpointMismatchError
from nclr_plugin.engine.hooks.checkpoint_guard_hook import check_state_dict


def model():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_the_models_own_state_passes_with_and_without_the_wrappers_prefix():
    state = model().state_dict()
    assert check_state_dict(model(), state) == 1
    assert check_state_dict(model(), {f'module.{k}': v for k, v in state.items()}) == 1


def test_share_of_a_part_is_counted():
    state = {k: v for k, v in model().state_dict().items() if k.startswith('0.')}
    assert check_state_dict(model(), state, min_match=0.2) == pytest.approx(2 / 6)
    with pytest.raises(CheckpointMismatchError, match='2 of the 6 .* missing 4: 1.weight'):
        check_state_dict(model(), state)


def test_counters_of_norms_are_no_weights():
    state = {k: v for k, v in model().state_dict().items() if 'num_batches' not in k}
    assert check_state_dict(model(), state) == 1
    counters = {k: v for k, v in model().state_dict().items() if 'num_batches' in k}
    with pytest.raises(CheckpointMismatchError, match='0 of the 6 .* unexpected 0'):
        check_state_dict(model(), counters, min_match=0.1)


def test_a_prefix_demands_a_part():
    state = {k: v for k, v in model().state_dict().items() if k.startswith('0.')}
    state['1.weight'] = torch.zeros(9)
    assert check_state_dict(model(), state, prefix='0.') == 1
    with pytest.raises(CheckpointMismatchError, match=r'0 of the 4 tensors 1\.\* of Sequential'):
        check_state_dict(model(), state, prefix='1.')


def test_other_sizes_and_names_are_named():
    state = model().state_dict()
    state['0.weight'] = torch.zeros(3, 5)
    state['head.bias'] = torch.zeros(1)
    with pytest.raises(CheckpointMismatchError,
                       match=r'0.weight \(3, 5\) for \(3, 2\); unexpected 1: head.bias'):
        check_state_dict(model(), state)


def test_permuted_kernel_passes():
    conv = nn.Conv3d(2, 5, 3)
    state = conv.state_dict()
    state['weight'] = state['weight'].permute(2, 3, 4, 1, 0)
    assert check_state_dict(conv, state) == 1


def test_a_sparse_kernel_without_its_version():
    """The host would permute it once more, and leave the module as it was."""
    spconv = pytest.importorskip('spconv.pytorch')
    conv = spconv.SubMConv3d(2, 5, 3)
    state = conv.state_dict()
    assert check_state_dict(conv, state) == 1
    with pytest.raises(CheckpointMismatchError, match='weight without the _metadata'):
        check_state_dict(conv, dict(state))
    # Kernels as spconv 1 has them have no version, either, and are permuted as they should.
    assert check_state_dict(conv, dict(state, weight=state['weight'].permute(1, 2, 3, 4, 0))) == 1


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
