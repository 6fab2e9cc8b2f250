from itertools import islice
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import DATA_SAMPLERS

from nclr_plugin.datasets import SeededInfiniteSampler
from nclr_plugin.errors import DataLayoutError


def take(sampler, count):
    return list(islice(iter(sampler), count))


def of_rank(rank, world_size, **kwargs):
    with mock.patch('nclr_plugin.datasets.samplers.get_dist_info',
                    return_value=(rank, world_size)):
        return SeededInfiniteSampler(range(7), **kwargs)


def test_every_pass_is_another_permutation_marked_by_its_epoch():
    indices = take(SeededInfiniteSampler(range(7)), 21)
    passes = [indices[start:start + 7] for start in (0, 7, 14)]
    for epoch, indices_of_pass in enumerate(passes):
        assert sorted(indices_of_pass) == list(range(7 * epoch, 7 * epoch + 7))
    assert len({tuple(index % 7 for index in indices_of_pass) for indices_of_pass in passes}) > 1


def test_seed_decides_the_order():
    first, again, other = (take(SeededInfiniteSampler(range(50), seed=seed), 50)
                           for seed in (3, 3, 4))
    assert first == again and first != other


def test_without_shuffling_indices_count_up():
    assert take(SeededInfiniteSampler(range(3), shuffle=False), 8) == list(range(8))


@given(st.integers(1, 9), st.integers(0, 60), st.integers(1, 4), st.booleans())
def test_resuming_continues_the_sequence(size, seen, world_size, shuffle):
    whole = take(SeededInfiniteSampler(range(size), shuffle=shuffle, seed=5), seen + 4 * world_size)
    resumed = []
    for rank in range(world_size):
        with mock.patch('nclr_plugin.datasets.samplers.get_dist_info',
                        return_value=(rank, world_size)):
            sampler = SeededInfiniteSampler(range(size), shuffle=shuffle, seed=5)
        sampler.set_start(seen)
        resumed.append(take(sampler, 4))
    interleaved = [index for indices in zip(*resumed) for index in indices]
    assert interleaved == whole[seen:]


def test_every_iteration_begins_at_the_start():
    sampler = of_rank(0, 1)
    sampler.set_start(5)
    assert take(sampler, 4) == take(sampler, 4) == take(of_rank(0, 1), 9)[5:]


def test_is_built_by_the_runner_with_a_seed():
    sampler = DATA_SAMPLERS.build(
        dict(type='SeededInfiniteSampler', shuffle=True),
        default_args=dict(dataset=range(5), seed=None))
    assert len(sampler) == 5 and sampler.seed == 0


def test_refuses_an_empty_data_set_and_a_negative_start():
    with pytest.raises(ValueError, match='no sample'):
        SeededInfiniteSampler([])
    with pytest.raises(ValueError, match='found -1'):
        SeededInfiniteSampler(range(3)).set_start(-1)


class Frames:
    """What mmdet3d's wrappers ask of a data set."""
    metainfo = {}

    def full_init(self):
        pass

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return index


@pytest.mark.parametrize('name, options', [
    ('ConcatDataset', lambda: dict(datasets=[Frames(), Frames()])),
    ('RepeatDataset', lambda: dict(dataset=Frames(), times=2)),
    ('Subset', lambda: dict(dataset=Frames(), indices=[0, 1])),
])
def test_a_wrapped_data_set_is_refused_when_built(monkeypatch, name, options):
    """Its indices end with its first pass, which is hours after the start of a training."""
    import mmengine.dataset.dataset_wrapper as wrappers
    from torch.utils.data import Subset
    monkeypatch.setattr(wrappers, 'BaseDataset', Frames)
    wrapper = Subset if name == 'Subset' else getattr(wrappers, name)
    with pytest.raises(DataLayoutError, match=f"found {name} around it.*'ConcatReader'"):
        SeededInfiniteSampler(wrapper(**options()))
