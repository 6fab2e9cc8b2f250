"""Build and run a pretraining network of the tests."""
import copy

import torch
from mmengine.registry import MODELS

from nclr_plugin.utils.devices import set_sparse_algorithm


def build(config):
    """A network of a config, initialised with seed 0, for the CPU."""
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(config))
    model.init_weights()
    set_sparse_algorithm(model, 'cpu')
    return model


def run(model, batch, mode, training=True):
    """The output of a mode of the network, and the preprocessed batch."""
    model.train(training)
    data = model.data_preprocessor(copy.deepcopy(batch), training)
    return model(**data, mode=mode), data
