"""Attention and feed-forward blocks of both transformers: pre-norm, with a residual."""
from __future__ import annotations


import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASKED_LOGIT = -1e4  # finite, also in half precision: a row without any key stays finite


class AttentionBlock(nn.Module):
    r"""Multi-head attention: :math:`x + W_o\,\mathrm{Softmax}(q k^T / \sqrt d + b)\,v`.

    Args:
        channels: Token width C.
        num_heads: Number of heads, each of width d = C / ``num_heads``.
        cross: Attend to tokens of the other modality, which get a LayerNorm of their own.
    """

    def __init__(self, channels: int, num_heads: int, cross: bool = False) -> None:
        super().__init__()
        self.q_proj = nn.Linear(channels, channels)
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.out_proj = nn.Linear(channels, channels)
        self.query_norm = nn.LayerNorm(channels)
        self.memory_norm = nn.LayerNorm(channels) if cross else None
        self.num_heads = num_heads
        # The initialisation of nn.MultiheadAttention, whose q, k and v are one (3 C, C) matrix.
        for proj in (self.q_proj, self.k_proj, self.v_proj):
            nn.init.xavier_uniform_(proj.weight, gain=2**-0.5)
            nn.init.zeros_(proj.bias)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, tokens: Tensor, memory: Tensor | None = None,
                mask: Tensor | None = None, pos: Tensor | None = None,
                memory_pos: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Return the updated tokens (B, P, C).

        Args:
            tokens: (B, P, C), the queries.
            memory: (B, Q, C), the keys and values; ``None``: the tokens themselves.
            mask: (B, Q) bool, True where the memory has a token; ``None``: everywhere.
            pos: (B, P, C) position codes, added to the queries; ``None``: none.
            memory_pos: (B, Q, C) position codes, added to the keys; ``None``: none.
            bias: (B, heads, P, Q), added to the logits; ``None``: none.
        """
        query = self.query_norm(tokens)
        value = query if memory is None else (self.memory_norm or self.query_norm)(memory)
        key = value if memory_pos is None else value + memory_pos
        query = query if pos is None else query + pos
        q = self._split(self.q_proj(query))  # (B, heads, P, d)
        k, v = self._split(self.k_proj(key)), self._split(self.v_proj(value))  # (B, heads, Q, d)
        attended = F.scaled_dot_product_attention(q, k, v, _logit_bias(q, mask, bias))
        return tokens + self.out_proj(attended.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two-layer perceptron on each token.

    Args:
        channels: Token width.
        hidden_channels: Width of the hidden layer.
    """

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden_channels), nn.GELU(), nn.Linear(hidden_channels, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the updated tokens (B, P, C)."""
        return tokens + self.mlp(self.norm(tokens))


def _logit_bias(query: Tensor, mask: Tensor | None, bias: Tensor | None) -> Tensor | None:
    """Return what is added to the logits, broadcast to (B, 1 or heads, P, Q), in q's type."""
    if mask is None:
        return None if bias is None else bias.to(query.dtype)
    masked = torch.zeros(mask.shape, device=query.device, dtype=query.dtype)
    masked = masked.masked_fill(~mask, MASKED_LOGIT)[:, None, None]
    return masked.expand(-1, -1, query.shape[2], -1) if bias is None else (
        masked + bias.to(query.dtype))
