"""What the host may read without waiting for a device; "meta" stands for a GPU."""
import pytest
import torch

from nclr_plugin.utils.devices import constant, on_host, surely_all, to_device

CPU, META = torch.device('cpu'), torch.device('meta')


def test_a_constant_is_made_once_for_each_type_and_device():
    first = constant((1., 2.), torch.float64, CPU)
    assert first.tolist() == [1., 2.] and first.dtype == torch.float64
    assert constant((1., 2.), torch.float64, CPU) is first
    assert constant((1., 2.), torch.float32, CPU) is not first
    assert constant((1., 2.), torch.float64, META).device == META


def test_only_masks_of_the_host_are_surely_anything():
    mask = torch.ones(3, dtype=torch.bool)
    assert on_host(mask) and surely_all(mask)
    assert not surely_all(torch.tensor([True, False]))
    assert not on_host(mask.to(META)) and not surely_all(mask.to(META))


def test_copies_keep_type_and_value():
    value = torch.arange(3)
    assert torch.equal(to_device(value, CPU), value)
    assert to_device(value, META).device == META


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_copies_reach_a_gpu():
    value = torch.arange(3)
    assert torch.equal(to_device(value, torch.device('cuda')).cpu(), value)
