"""Eq. 9-12 of CrossI2P, token by token."""
import math

import torch

from nclr_plugin.models.necks.coarse_transformer import Attention, CoarseTransformer


def reference(layer, tokens, memory, mask, bias=None):
    """Softmax(q k^T / sqrt(C)) v by loops, for one batch entry."""
    queries = layer.query_norm(tokens)
    memory = queries if layer.memory_norm is None else layer.memory_norm(memory)
    q, k, v = layer.query(queries), layer.key(memory), layer.value(memory)
    width = q.shape[1] // layer.num_heads
    rows = []
    for i in range(len(q)):
        heads = []
        for head in range(layer.num_heads):
            part = slice(head * width, (head + 1) * width)
            logits = [float(q[i, part] @ k[j, part]) / math.sqrt(width)
                      + (0. if bias is None else float(bias[head, i, j]))
                      for j in range(len(k)) if mask[j]]
            total = sum(math.exp(x) for x in logits)
            values = [v[j, part] for j in range(len(k)) if mask[j]]
            heads.append(sum(math.exp(x) / total * value for x, value in zip(logits, values)))
        rows.append(torch.cat(heads))
    tokens = tokens + layer.out(torch.stack(rows))
    return tokens + layer.ffn(tokens)


def test_self_attention_with_relative_positions():
    torch.manual_seed(0)
    layer = Attention(8, 2, 12, cross=False)
    tokens, bias = torch.randn(1, 5, 8), torch.randn(1, 2, 5, 5)
    mask = torch.tensor([[True, True, True, False, True]])
    found = layer(tokens, tokens, mask, bias)
    torch.testing.assert_close(
        found[0], reference(layer, tokens[0], tokens[0], mask[0], bias[0]), rtol=1e-4, atol=1e-5)


def test_cross_attention_takes_values_from_the_other_side():
    torch.manual_seed(0)
    layer = Attention(8, 2, 12, cross=True)
    tokens, memory = torch.randn(1, 5, 8), torch.randn(1, 7, 8)
    mask = torch.ones(1, 7, dtype=torch.bool)
    torch.testing.assert_close(layer(tokens, memory, mask)[0],
                               reference(layer, tokens[0], memory[0], mask[0]),
                               rtol=1e-4, atol=1e-5)


def make(views=3):
    torch.manual_seed(0)
    net = CoarseTransformer(8, num_heads=2, num_layers=2, ffn_channels=12)
    inputs = [torch.randn(2, 6, 8), torch.randn(2, 6, 3) * 10,
              torch.ones(2, 6, dtype=torch.bool), torch.randn(views, 8, 3, 4)]
    return net, inputs


def test_a_rigid_transform_changes_nothing():
    """Relative positions are distances, which a turn and a shift keep."""
    net, (points, centres, mask, pixels) = make()
    views = torch.tensor([0, 0, 1])
    before = net(points, centres, mask, pixels, views)
    angle = torch.tensor(1.1)
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]])
    after = net(points, centres @ turn.T + 7, mask, pixels, views)
    for a, b in zip(before, after):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    stretched = net(points, centres * 2, mask, pixels, views)
    assert (stretched[0] - before[0]).abs().max() > 1e-3


def test_scans_are_apart_and_padding_does_not_matter():
    net, (points, centres, mask, pixels) = make()
    mask[1, 4:] = False
    views = torch.tensor([0, 0, 1])
    whole = net(points, centres, mask, pixels, views)
    alone = net(points[1:, :4], centres[1:, :4], mask[1:, :4], pixels[2:], torch.tensor([0]))
    torch.testing.assert_close(whole[0][1, :4], alone[0][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(whole[1][2], alone[1][0], rtol=1e-4, atol=1e-4)


def test_a_scan_without_views_stays_finite():
    net, (points, centres, mask, pixels) = make()
    found = net(points, centres, mask, pixels, torch.tensor([0, 0, 0]))
    assert all(x.isfinite().all() for x in found)


def test_every_parameter_is_trained():
    net, (points, centres, mask, pixels) = make()
    found = net(points, centres, mask, pixels, torch.tensor([0, 0, 1]))
    (found[0].square().mean() * 2 + (found[1] - 1).abs().mean()).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []
