"""Attention token by token, and against torch's own."""
import math

import numpy as np
import pytest
import torch
from torch import nn

from nclr_plugin.models.layers.attention import (AttentionBlock, FeedForward, cell_indices,
                                                 circular_harmonics, pixel_pos_encoding,
                                                 point_pos_encoding, rotate_harmonics,
                                                 sinusoidal_encoding)


def reference(block, tokens, memory, mask, bias=None):
    """Softmax(q k^T / sqrt(d)) v by loops, for one batch entry."""
    queries = block.query_norm(tokens)
    memory = (block.memory_norm or block.query_norm)(memory)
    q, k, v = block.q_proj(queries), block.k_proj(memory), block.v_proj(memory)
    width = q.shape[1] // block.num_heads
    rows = []
    for i in range(len(q)):
        heads = []
        for head in range(block.num_heads):
            part = slice(head * width, (head + 1) * width)
            logits = [float(q[i, part] @ k[j, part]) / math.sqrt(width)
                      + (0. if bias is None else float(bias[head, i, j]))
                      for j in range(len(k)) if mask[j]]
            total = sum(math.exp(x) for x in logits)
            values = [v[j, part] for j in range(len(k)) if mask[j]]
            heads.append(sum(math.exp(x) / total * value for x, value in zip(logits, values)))
        rows.append(torch.cat(heads))
    return tokens + block.out_proj(torch.stack(rows))


def test_self_attention_with_relative_positions():
    torch.manual_seed(0)
    block = AttentionBlock(8, 2)
    tokens, bias = torch.randn(1, 5, 8), torch.randn(1, 2, 5, 5)
    mask = torch.tensor([[True, True, True, False, True]])
    expected = reference(block, tokens[0], tokens[0], mask[0], bias[0])
    torch.testing.assert_close(
        block(tokens, mask=mask, bias=bias)[0], expected, rtol=1e-4, atol=1e-5)


def test_cross_attention_takes_values_from_the_other_side():
    torch.manual_seed(0)
    block = AttentionBlock(8, 2, cross=True)
    tokens, memory = torch.randn(1, 5, 8), torch.randn(1, 7, 8)
    expected = reference(block, tokens[0], memory[0], [True] * 7)
    torch.testing.assert_close(block(tokens, memory)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('masked', [False, True])
def test_equals_multi_head_attention_of_torch(masked):
    """With positions on queries and keys, not on values, and the same weights."""
    torch.manual_seed(0)
    block = AttentionBlock(12, 3, cross=True)
    torch_attention = nn.MultiheadAttention(12, 3, batch_first=True)
    projections = block.q_proj, block.k_proj, block.v_proj
    torch_attention.load_state_dict({
        'in_proj_weight': torch.cat([proj.weight for proj in projections]),
        'in_proj_bias': torch.cat([proj.bias for proj in projections]),
        **{f'out_proj.{name}': value for name, value in block.out_proj.state_dict().items()}})
    tokens, memory = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    pos, memory_pos = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    mask = torch.arange(7) < torch.tensor([[7], [4]]) if masked else None
    value = block.memory_norm(memory)
    expected = tokens + torch_attention(
        block.query_norm(tokens) + pos, value + memory_pos, value,
        key_padding_mask=None if mask is None else ~mask, need_weights=False)[0]
    torch.testing.assert_close(block(tokens, memory, mask, pos, memory_pos), expected)


def test_starts_as_multi_head_attention_of_torch_does():
    torch.manual_seed(0)
    block, theirs = AttentionBlock(256, 4), nn.MultiheadAttention(256, 4)
    for proj in (block.q_proj, block.k_proj, block.v_proj):
        assert abs(proj.weight.std() / theirs.in_proj_weight.std() - 1) < 0.01
        assert (proj.bias == 0).all()
    assert abs(block.out_proj.weight.std() / theirs.out_proj.weight.std() - 1) < 0.01
    assert (block.out_proj.bias == 0).all()


def test_a_row_without_keys_is_finite():
    block = AttentionBlock(8, 2)
    tokens = torch.randn(1, 3, 8, requires_grad=True)
    block(tokens, mask=torch.zeros(1, 3, dtype=torch.bool)).sum().backward()
    assert tokens.grad.isfinite().all()


def test_feed_forward_works_token_by_token():
    torch.manual_seed(0)
    block = FeedForward(6, 9)
    tokens = torch.randn(2, 4, 6)
    linear, _, out = block.mlp
    hidden = nn.functional.gelu(linear(block.norm(tokens[1, 2])))
    torch.testing.assert_close(block(tokens)[1, 2], tokens[1, 2] + out(hidden))


def test_position_code_is_sines_and_cosines_of_geometric_wavelengths():
    position = torch.tensor([[1.5, -2.0, 7.0]], dtype=torch.double)
    code = sinusoidal_encoding(position, 14, (2., 200.))[0].numpy()
    waves = np.array([2., 200.])
    angles = (position.numpy()[0][:, None] * 2 * np.pi / waves).ravel()
    np.testing.assert_allclose(code, np.concatenate((np.sin(angles), np.cos(angles), [0, 0])))


def test_grid_is_columns_and_rows_in_row_major_order():
    grid = cell_indices(2, 3, torch.zeros(1))
    assert grid.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]


def test_circular_harmonics_are_cosines_and_sines_of_multiples():
    code = circular_harmonics(torch.tensor(0.7, dtype=torch.double), 3).numpy()
    expected = [f(k * 0.7) for k in (1, 2, 3) for f in (np.cos, np.sin)]
    np.testing.assert_allclose(code, expected)


def test_turned_codes_are_codes_of_sums_and_differences():
    a, b = torch.tensor([0.3, 2.9]).double(), torch.tensor([-1.1, 1.4]).double()
    code = rotate_harmonics(circular_harmonics(a, 4), circular_harmonics(b, 4))
    torch.testing.assert_close(code, circular_harmonics(a + b, 4))
    code = rotate_harmonics(circular_harmonics(a, 4), circular_harmonics(b, 4), inverse=True)
    torch.testing.assert_close(code, circular_harmonics(a - b, 4))


def test_scan_code_of_a_turned_point_keeps_range_and_height_and_turns_azimuth():
    point, angle = torch.tensor([3., 4., -1.]).double(), 0.8
    c, s = np.cos(angle), np.sin(angle)
    turned = torch.tensor([3 * c - 4 * s, 3 * s + 4 * c, -1]).double()
    before, after = (point_pos_encoding(p, 48) for p in (point, turned))
    torch.testing.assert_close(before[24:36], after[24:36])  # range
    own = sinusoidal_encoding(torch.tensor([5.]).double(), 12, (2., 200.))
    torch.testing.assert_close(before[24:36], own)
    turn = circular_harmonics(torch.tensor(angle).double(), 6)
    torch.testing.assert_close(after[36:], rotate_harmonics(before[36:], turn))


def test_view_code_has_the_azimuth_where_the_scan_code_has_it():
    azimuth = torch.tensor([[0.2, -0.4, 1.]]).double()
    code = pixel_pos_encoding(2, circular_harmonics(azimuth, 8), 48, (4., 400.))
    assert code.shape == (1, 6, 48)
    for column in range(3):
        point = torch.tensor([np.cos(azimuth[0, column]), np.sin(azimuth[0, column]), 0]).double()
        for row in range(2):
            torch.testing.assert_close(
                code[0, 3 * row + column, 36:], point_pos_encoding(point, 48)[36:])
    unknown = pixel_pos_encoding(2, torch.zeros(1, 3, 0), 48, (4., 400.))
    assert (unknown[..., 36:] == 0).all()
