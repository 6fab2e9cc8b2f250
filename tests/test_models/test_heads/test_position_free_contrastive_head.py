"""Similarity of content: what it sees, what it does not."""
import torch
from torch.nn import functional as F

from nclr_plugin.models.heads import PositionFreeContrastiveHead


def build():
    torch.manual_seed(0)
    return PositionFreeContrastiveHead(
        point_channels=5, pixel_channels=7, embed_dims=6, temperature=0.1)


def test_logits_are_cosines_over_the_temperature():
    head = build()
    points, pixels = torch.randn(2, 3, 5), torch.randn(2, 7, 4, 6)
    logits = head(points, pixels)
    assert logits.shape == (2, 3, 24) and logits.dtype == torch.float32
    point, pixel = head.point_proj(points[1, 2]), head.pixel_proj(pixels[1, :, 3, 5])
    cosine = F.cosine_similarity(point, pixel, dim=0)
    torch.testing.assert_close(logits[1, 2, 3 * 6 + 5], cosine / 0.1)


def test_equal_content_is_equally_similar_wherever_it_lies():
    pixels = torch.randn(1, 7, 1, 1).expand(1, 7, 4, 6)
    logits = build()(torch.randn(1, 3, 5), pixels)
    torch.testing.assert_close(logits, logits[:, :, :1].expand_as(logits))


def test_every_parameter_is_trained():
    head = build()
    head(torch.randn(1, 30, 5), torch.randn(1, 7, 4, 6)).logsumexp(-1).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())
