"""The network of a runner, wrapped or not."""
from types import SimpleNamespace

from torch import nn

from nclr_plugin.engine.unwrapping import unwrapped_model


def test_the_network_is_found_with_and_without_a_wrapper():
    model = nn.Linear(2, 2)
    for given in (model, nn.DataParallel(model)):
        assert unwrapped_model(SimpleNamespace(model=given)) is model
