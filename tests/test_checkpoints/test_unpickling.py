"""Files of other programs: what lies beside the tensors, where they lie, and that nothing runs."""
import argparse
import builtins
import collections
import datetime
import functools
import os
import pathlib
import pickle
import sys
import types

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader, _load_checkpoint_to_model
from torch import nn

from nclr_plugin.checkpoints import (
    BrokenCheckpointError,
    PretrainedWeightsError,
    load_pretrained,
    read_state_dict,
)
from nclr_plugin.checkpoints.voxels import parse_config
from nclr_plugin.checkpoints.reading import find_state_dict
from nclr_plugin.checkpoints.unpickling import Unknown

pytestmark = pytest.mark.filterwarnings('ignore:checkpoint ')


@pytest.fixture
def absent_module():
    """Function: name, base -> a class of a module that is gone when the file is read."""
    module = types.ModuleType('package_that_is_gone')
    sys.modules[module.__name__] = module

    def make(name, base=object):
        cls = type(name, (base, ), {'__module__': module.__name__})
        setattr(module, name, cls)
        return cls

    yield make
    sys.modules.pop(module.__name__, None)


@pytest.fixture
def saved(tmp_path):
    """Function: content -> path; the module of :func:`absent_module` is gone afterwards."""

    def save(content, **options):
        torch.save(content, tmp_path / 'foreign.pth', **options)
        sys.modules.pop('package_that_is_gone', None)
        return str(tmp_path / 'foreign.pth')

    return save


def weights():
    return {'weight': torch.arange(6.).view(2, 3), 'bias': torch.ones(2)}


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'old'])
@pytest.mark.parametrize('beside', [
    lambda make: make('EasyDict', dict)(lr=0.1), lambda make: make('ListConfig', list)([1, 2]),
    lambda make: make('Tags', set)('ab'), lambda make: make('Trainer')(),
    lambda make: functools.partial(make('Loss'), 3), lambda make: argparse.Namespace(lr=0.1),
    lambda make: np.float64(0.3), lambda make: np.array(['a', None], object),
    lambda make: pathlib.PurePosixPath('/a/b'), lambda make: datetime.timedelta(1),
    lambda make: {make('Key'): make('Value')()}, lambda make: collections.defaultdict(list, a=[1]),
], ids=['dict', 'list', 'set', 'object', 'partial', 'Namespace', 'scalar', 'array', 'path', 'time',
        'keys', 'defaultdict'])
def test_tensors_are_read_whatever_lies_beside_them(saved, absent_module, beside, zipped):
    path = saved(dict(state_dict=weights(), config=beside(absent_module), epoch=3),
                 _use_new_zipfile_serialization=zipped)
    read = read_state_dict(path)
    assert list(read) == ['weight', 'bias'] and torch.equal(read['weight'], weights()['weight'])
    assert load(path)['epoch'] == 3


def test_attributes_of_foreign_objects_are_kept_from_the_tensors(saved, absent_module):
    trainer = absent_module('Trainer')()
    trainer.__dict__.update(optimizer=dict(step=torch.ones(1)), nested=trainer)
    assert list(read_state_dict(saved(dict(model=weights(), trainer=trainer)))) == ['weight',
                                                                                    'bias']


def test_a_foreign_dictionary_of_tensors_is_read(saved, absent_module):
    state = absent_module('StateDict', dict)(weights())
    assert list(read_state_dict(saved(dict(model=state)))) == ['weight', 'bias']


@pytest.mark.filterwarnings('default:checkpoint ')
def test_what_is_left_out_is_named(saved, absent_module):
    path = saved(dict(state_dict=weights(), config=absent_module('EasyDict', dict)()))
    with pytest.warns(UserWarning, match=r'foreign.pth.*is_gone.EasyDict were dropped'):
        read_state_dict(path)


def test_a_whole_pickled_network_is_one_sentence(saved, absent_module):
    net = absent_module('Net', nn.Linear)(2, 2)
    path = saved(dict(model=net))
    with pytest.raises(PretrainedWeightsError, match='foreign.pth.*save its state_dict'):
        read_state_dict(path)


class Bomb:
    """Calls what it is told to when it is unpickled."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'old'])
@pytest.mark.parametrize('function', [os.system, builtins.exec, builtins.eval, os.mkdir,
                                      __import__], ids=lambda f: f.__name__)
def test_nothing_in_a_file_is_run(saved, tmp_path, monkeypatch, function, zipped):
    monkeypatch.chdir(tmp_path)
    words = dict(system='touch proof', exec="open('proof', 'w')", eval="open('proof', 'w')",
                 mkdir='proof')
    path = saved(dict(state_dict=weights(), z=Bomb(function, words.get(function.__name__, 'this'))),
                 _use_new_zipfile_serialization=zipped)
    sys.modules.pop('this', None)
    assert list(read_state_dict(path)) == ['weight', 'bias']
    assert not os.path.exists('proof') and 'this' not in sys.modules


def test_no_way_out_by_an_attribute_or_a_file_in_the_file(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inner = tmp_path / 'inner.pth'
    torch.save(Bomb(os.mkdir, 'proof'), inner)
    for bomb in (Bomb(getattr, HistoryBuffer, 'register_statistics'),
                 Bomb(getattr, dict, '__subclasses__'),
                 Bomb(torch.storage._load_from_bytes, inner.read_bytes())):
        path = saved(dict(model=weights(), z=bomb))
        assert list(read_state_dict(path)) == ['weight', 'bias']
        assert issubclass(load(path)['z'] if isinstance(load(path)['z'], type)
                          else type(load(path)['z']), Unknown)
    assert not os.path.exists('proof')


def test_what_a_training_resumes_from_is_as_it_was(saved):
    history = HistoryBuffer([0.5, 1.5], [1, 1])
    content = load(saved(dict(
        state_dict=weights(), message_hub=dict(log_scalars=dict(loss=history)),
        meta=dict(dataset_meta=ConfigDict(classes=['car'], map={252: 1})),
        optimizer=dict(state={0: dict(step=torch.tensor(3.), exp_avg=torch.ones(2))}))))
    assert content['message_hub']['log_scalars']['loss'].mean() == 1
    assert type(content['meta']['dataset_meta']) is ConfigDict
    assert content['meta']['dataset_meta'].map == {252: 1}
    assert content['optimizer']['state'][0]['exp_avg'].tolist() == [1, 1]


WRAPPINGS = {
    'model_state_dict': lambda state: dict(model_state_dict=state, epoch=1),
    'net': lambda state: dict(net=state, acc=0.5, optimizer=dict(state={0: dict(a=state)})),
    'model_state': lambda state: dict(model_state=state, it=4),
    'state_dict beside its average': lambda state: dict(
        state_dict_ema={k: t + 1 for k, t in state.items()}, state_dict=state),
    'average alone': lambda state: dict(state_dict_ema=state, arch='net'),
    'two deep': lambda state: dict(model=dict(state_dict=state)),
    'teacher': lambda state: dict(teacher=state, optimizer={str(i): torch.ones(1)
                                                            for i in range(99)}),
    'nothing': lambda state: state,
    'parallel': lambda state: dict(state_dict={f'module.{k}': t for k, t in state.items()}),
    'compiled': lambda state: dict(model={f'module._orig_mod.{k}': t for k, t in state.items()}),
}


@pytest.mark.parametrize('wrap', WRAPPINGS.values(), ids=WRAPPINGS)
def test_weights_are_found_wherever_they_are(saved, wrap):
    """By this project's readers, and by mmengine's loader as ``load_from`` uses it."""
    path = saved(wrap(weights()))
    assert {name: t.tolist() for name, t in read_state_dict(path).items()} == {
        name: t.tolist() for name, t in weights().items()}
    model = nn.Linear(3, 2)
    _load_checkpoint_to_model(model, load(path))
    assert torch.equal(model.weight, weights()['weight'])


def test_the_version_of_a_sparse_kernel_survives_the_prefix(saved):
    spconv = pytest.importorskip('spconv.pytorch')
    source, target = (nn.Sequential(spconv.SubMConv3d(2, 3, 3)) for _ in range(2))
    state = nn.DataParallel(source).state_dict()
    _load_checkpoint_to_model(target, load(saved(dict(state_dict=state))))
    assert torch.equal(source[0].weight, target[0].weight)


def test_no_tensors_are_no_state():
    assert find_state_dict(dict(epoch=1, optimizer=weights())) == {}
    assert find_state_dict([1]) == {}


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
def test_safetensors(minkunet, equal, tmp_path, suffix):
    library = pytest.importorskip('safetensors.torch')
    source, target, reference = minkunet(), minkunet(seed=1), minkunet(seed=2)
    path = str(tmp_path / f'weights{suffix}')
    library.save_file({f'backbone.{k}': t.contiguous() for k, t in source.state_dict().items()},
                      path)
    assert load_pretrained(target, path).prefix == 'backbone.' and equal(source, target)
    _load_checkpoint_to_model(nn.ModuleDict(dict(backbone=reference)), load(path))
    assert equal(source, reference)


def test_a_cut_off_file_of_safetensors_is_one_sentence(tmp_path):
    library = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'weights.safetensors'
    library.save_file(weights(), str(path))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(BrokenCheckpointError, match='weights.safetensors.*truncated'):
        load(path)


def test_counters_are_no_weights(minkunet, save, equal):
    source, target = minkunet(), minkunet(seed=1)
    state = {k: t for k, t in source.state_dict().items() if 'num_batches' not in k}
    report = load_pretrained(target, save(state))
    assert report.match_ratio == 1 and not report.missing
    for name, tensor in state.items():
        assert torch.equal(target.state_dict()[name], tensor)
    counters = {k: t for k, t in source.state_dict().items() if 'num_batches' in k}
    with pytest.raises(PretrainedWeightsError, match='0 of 245'):
        load_pretrained(minkunet(), save(counters), min_match=0.1)


def test_configs_are_parsed_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = ("import package_that_is_gone\n"
            "custom_imports = dict(imports=['package_that_is_gone'])\n"
            "open('proof', 'w')\n"
            "model = dict(size=(0.1, -2), nested=[dict(a=None, b=print('x')), print('y')])\n"
            "data = {'a b': True, **model}\n"
            "other = print('z')\nlimit = [inf]\n")
    values = parse_config(text)
    assert values['model'] == dict(size=(0.1, -2), nested=[dict(a=None), None])
    assert values['data'] == {'a b': True} and 'other' not in values
    assert values['limit'] == [float('inf')]
    assert not os.path.exists('proof')
    assert parse_config('a = <object at 0x7f>') is None


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu', logger='silent')


def test_pickles_of_python_alone_are_one_sentence(tmp_path):
    path = tmp_path / 'plain.pkl'
    path.write_bytes(pickle.dumps(dict(a=1)))
    with pytest.raises(BrokenCheckpointError, match='plain.pkl'):
        load(path)
