import io

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from nclr_plugin.utils.compat import allow_mmengine_checkpoints

needs_weights_only = pytest.mark.skipif(
    not hasattr(torch.serialization, 'add_safe_globals'), reason='torch has no list of classes')


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
def test_other_classes_are_still_refused():
    allow_mmengine_checkpoints()
    with pytest.raises(Exception, match='Fraction'):
        reloaded(__import__('fractions').Fraction(1, 2))
