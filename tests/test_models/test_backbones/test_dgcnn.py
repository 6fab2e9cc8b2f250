"""DGCNN against loops over points."""
import pytest
import torch

from nclr_plugin.models.backbones.dgcnn import DGCNN, EdgeConv, nearest_neighbours


def scene():
    torch.manual_seed(0)
    batch = torch.tensor([0] * 30 + [1] * 20 + [2] * 3)
    return torch.randn(53, 4) * 5, batch


@pytest.mark.parametrize('columns', [3, 4], ids=['by a tree', 'by all distances'])
def test_neighbours_are_the_nearest_of_the_same_scan(columns):
    feats, batch = scene()
    shuffled = torch.randperm(53)
    feats, batch = feats[shuffled, :columns], batch[shuffled]
    ranks = [0, 1, 2, 4, 29]
    found = nearest_neighbours(feats, batch, 3, ranks)
    for i in range(53):
        own = [j for j in range(53) if batch[j] == batch[i]]
        nearest = sorted(own, key=lambda j: float((feats[i].double() - feats[j]).norm()))
        assert found[i].tolist() == [nearest[rank % len(nearest)] for rank in ranks]
        assert found[i, 0] == i


def test_edge_convolution_is_the_formula():
    """act(norm(max_j W [x_i, x_j - x_i])), every edge on its own."""
    feats, batch = scene()
    layer = EdgeConv(4, 6)
    neighbours = nearest_neighbours(feats, batch, 3, range(5))
    weight = torch.cat((layer.centre.weight, layer.edge.weight), 1)
    expected = []
    for i in range(53):
        edges = [weight @ torch.cat((feats[i], feats[j] - feats[i])) for j in neighbours[i]]
        expected.append(torch.stack(edges).amax(0) + layer.centre.bias)
    expected = layer.activation(layer.norm(torch.stack(expected)))
    torch.testing.assert_close(layer(feats, neighbours), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dynamic', [True, False])
@pytest.mark.parametrize('dilations', [None, (1, 3)])
def test_scans_do_not_see_each_other(dynamic, dilations):
    feats, batch = scene()
    torch.manual_seed(1)
    net = DGCNN(channels=(8, 8), out_channels=10, k=4, dynamic=dynamic, dilations=dilations)
    whole = net(feats, batch, 3, net.graph(feats[:, :3], batch, 3))
    assert whole.shape == (53, 10)
    for scan in range(3):
        own = batch == scan
        zeros = torch.zeros(int(own.sum()), dtype=torch.long)
        alone = net(feats[own], zeros, 1, net.graph(feats[own, :3], zeros, 1))
        torch.testing.assert_close(whole[own], alone, rtol=1e-4, atol=1e-5)


def test_the_graph_of_a_layer_is_found_in_its_features_only_if_dynamic(monkeypatch):
    feats, batch = scene()
    calls = []
    module = 'nclr_plugin.models.backbones.dgcnn.nearest_neighbours'
    monkeypatch.setattr(module, lambda x, *rest: calls.append(x.shape[1]) or nearest_neighbours(
        x, *rest))
    for dynamic in (True, False):
        net = DGCNN(channels=(8, 16, 8), k=4, dynamic=dynamic)
        net(feats, batch, 3, net.graph(feats[:, :3], batch, 3))
    assert calls == [3, 8, 16, 3]


def test_a_dilated_layer_sees_farther_points():
    """On a line of points a metre apart, where the neighbours' ranks are known."""
    points = torch.zeros(40, 4)
    points[:, 0] = torch.arange(40.)
    batch = torch.zeros(40, dtype=torch.long)
    net = DGCNN(channels=(8, 8), k=4, dynamic=False, dilations=(1, 3))
    near, far = net.graph(points[:, :3], batch, 1)
    assert near.shape == far.shape == (40, 4)
    assert near[0].tolist() == [0, 1, 2, 3]
    assert far[0].tolist() == [0, 3, 6, 9]


def test_every_parameter_is_trained():
    feats, batch = scene()
    net = DGCNN(channels=(8, 8), out_channels=10, k=4)
    net(feats, batch, 3, net.graph(feats[:, :3], batch, 3)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_wrong_settings_are_reported():
    with pytest.raises(ValueError, match='at least one layer'):
        DGCNN(channels=())
    with pytest.raises(ValueError, match='each of 2 layers'):
        DGCNN(channels=(8, 8), dilations=(1, 2, 4))
