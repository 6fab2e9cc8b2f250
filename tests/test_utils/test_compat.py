import io
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

from nclr_plugin.utils.compat import allow_mmengine_checkpoints

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
