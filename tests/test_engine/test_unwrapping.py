"""The network of a runner, wrapped or not."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseTTAModel, ExponentialMovingAverage, MMDistributedDataParallel
from torch import nn

from nclr_plugin.engine.unwrapping import unwrapped_model


def test_the_network_is_found_with_and_without_a_wrapper():
    model = nn.Linear(2, 2)
    for given in (model, nn.DataParallel(model)):
        assert unwrapped_model(SimpleNamespace(model=given)) is model


class Net(nn.Linear):
    """A model that can be tested."""

    def test_step(self, data):
        return data


class Augmented(BaseTTAModel):
    """Test-time augmentation."""

    def merge_preds(self, data_samples_list):
        return data_samples_list


@pytest.fixture
def one_process(tmp_path):
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/group', rank=0,
                                         world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_wrappers_within_wrappers(one_process):
    model = Net(2, 2)
    assert unwrapped_model(SimpleNamespace(model=Augmented(model))) is model
    for wrapper in (MMDistributedDataParallel(Augmented(model)),
                    Augmented(MMDistributedDataParallel(model))):
        assert unwrapped_model(SimpleNamespace(model=wrapper)) is model
    averaged = ExponentialMovingAverage(model)
    assert type(unwrapped_model(SimpleNamespace(model=averaged))) is Net
    compiled = torch.compile(model)
    assert unwrapped_model(SimpleNamespace(model=compiled)) is model
