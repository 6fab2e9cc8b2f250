import pytest
from torch import nn

from nclr_plugin.utils.sparse import set_sparse_algorithm

spconv = pytest.importorskip('spconv.pytorch')


def test_native_on_cpu_and_untouched_on_cuda():
    model = nn.ModuleDict(dict(conv=spconv.SubMConv3d(2, 2, 3), pool=spconv.SparseMaxPool3d(2),
                               dense=nn.Conv2d(1, 1, 1)))
    before = model['conv'].algo
    assert before != spconv.ConvAlgo.Native
    assert set_sparse_algorithm(model, 'cuda:0') == 0
    assert model['conv'].algo == before
    assert set_sparse_algorithm(model, 'cpu') == 2
    assert model['conv'].algo == model['pool'].algo == spconv.ConvAlgo.Native
    assert set_sparse_algorithm(model, 'cpu') == 0
