import io
import os
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import digit_version

from nclr_plugin.checkpoints.reading import allow_mmengine_checkpoints
from nclr_plugin.errors import BrokenCheckpointError


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'iter_2.pth'
    torch.save(dict(meta={}, state_dict=torch.nn.Linear(30, 40).state_dict()), path)
    return path


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu', logger='silent')


def test_a_complete_file_loads(checkpoint):
    assert load(checkpoint)['state_dict']['weight'].shape == (40, 30)


def test_a_file_of_the_old_format_loads(checkpoint):
    torch.save(load(checkpoint), checkpoint, _use_new_zipfile_serialization=False)
    assert load(checkpoint)['state_dict']['bias'].shape == (40, )


@pytest.mark.parametrize('damage', [
    lambda raw: b'', lambda raw: raw[:-1], lambda raw: raw[:len(raw) // 2], lambda raw: raw[:10],
    lambda raw: b'not a checkpoint', lambda raw: b'PK\x03\x04' + raw[100:],
    lambda raw: pickle.dumps('a') + raw,
], ids=['empty', 'end', 'half', 'start', 'text', 'middle', 'pickle'])
@pytest.mark.parametrize('new', [True, False], ids=['zip', 'old'])
def test_damage_names_the_file(checkpoint, damage, new):
    torch.save(load(checkpoint), checkpoint, _use_new_zipfile_serialization=new)
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(BrokenCheckpointError) as error:
        load(checkpoint)
    text = str(error.value)
    assert text.startswith(f"checkpoint '{checkpoint}': expected a complete file")
    assert f'found {checkpoint.stat().st_size} bytes' in text and '\n' not in text
    assert text.endswith('take another one, or train again')


def test_the_newest_other_checkpoint_is_proposed(checkpoint):
    checkpoint.write_bytes(b'')
    for age, name in ((3, 'iter_1.pth'), (9, 'iter_3.pth')):
        (checkpoint.parent / name).touch()
        os.utime(checkpoint.parent / name, (1e9 - age, 1e9 - age))
    with pytest.raises(BrokenCheckpointError, match=r'--resume \S*/iter_1.pth'):
        load(checkpoint)


def test_a_missing_file_stays_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        load(tmp_path / 'gone.pth')


needs_weights_only = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.6'), reason='torch loads any class')


class Thief:
    """Asks the unpickler for an attribute that leads out of the box."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


def reloaded(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    stream.seek(0)
    return torch.load(stream, weights_only=True)


@needs_weights_only
def test_history_and_arrays_load():
    allow_mmengine_checkpoints()
    history = HistoryBuffer([0.5, 1.5], [1, 1])
    loaded = reloaded(dict(history=history, ints=np.arange(3), scalar=np.float32(2),
                           names=np.array(['car'])))
    assert loaded['history'].mean() == 1
    assert loaded['ints'].tolist() == [0, 1, 2] and loaded['scalar'] == 2
    assert loaded['names'].tolist() == ['car']


@needs_weights_only
def test_descriptions_of_data_sets_load():
    allow_mmengine_checkpoints()
    meta = ConfigDict(classes=['car'], seg_label_mapping={252: 1}, more=dict(ignore_index=0))
    loaded = reloaded(dict(meta=dict(dataset_meta=meta)))['meta']['dataset_meta']
    assert type(loaded) is ConfigDict and loaded == meta and loaded.more.ignore_index == 0


@needs_weights_only
def test_other_classes_are_still_refused():
    allow_mmengine_checkpoints()
    with pytest.raises(pickle.UnpicklingError, match='Fraction'):
        reloaded(Fraction(1, 2))


@needs_weights_only
def test_attributes_of_the_history_class_are_no_way_out():
    allow_mmengine_checkpoints()
    with pytest.raises(pickle.UnpicklingError, match='which no checkpoint of mmengine needs'):
        reloaded(Thief())
