import os
import pickle

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

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
