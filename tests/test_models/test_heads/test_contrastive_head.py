"""Contrastive heads: projection, prototype, both forms; no use of positions."""
import pytest
import torch
from torch.nn import functional as F

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.models.heads import ContrastiveHead, PositionFreeContrastiveHead
from nclr_plugin.models.heads.contrastive_head import Instances
from nclr_plugin.models.losses import instance_loss, pixel_targets, printed_cross_modal_loss


def instances(views=2, count=6):
    torch.manual_seed(0)
    valid = torch.ones(views, count, dtype=torch.bool)
    visible = valid.clone()
    visible[:, 4:] = False
    near = torch.eye(count, dtype=torch.bool).expand(views, -1, -1)
    same = torch.zeros(views, count, count, dtype=torch.bool)
    same[0, 0, 1] = same[0, 1, 0] = True
    return Instances(torch.randn(views, count, 8), torch.randn(views, count, 8),
                     torch.randn(views, count, 5), valid, visible, near, same)


def test_default_form():
    head, found = ContrastiveHead(8, 5, 16, imid_weight=2., cmid_weight=3.), instances()
    losses = head.loss(found)
    z1, z2, h = head.point_proj(found.view1), head.point_proj(found.view2), \
        head.pixel_proj(found.image)
    assert z1.shape[-1] == 16
    torch.testing.assert_close(
        losses['loss_imid'], 2 * instance_loss(z1, z2, 0.1, found.valid, found.too_close))
    torch.testing.assert_close(losses['loss_cmid'], 3 * instance_loss(
        (z1 + z2) / 2, h, 0.1, found.visible, found.too_close | found.same_pixel))


def test_printed_form_has_whole_pairs_as_instances():
    head, found = ContrastiveHead(8, 5, 16, literal=True), instances(views=3)
    losses = head.loss(found)
    z1, z2 = (head.point_proj(x.amax(1))[None] for x in (found.view1, found.view2))
    h = head.pixel_proj(found.image[:, :4].mean(1))[None]
    torch.testing.assert_close(losses['loss_imid'], instance_loss(z1, z2, 0.1))
    torch.testing.assert_close(
        losses['loss_cmid'], printed_cross_modal_loss((z1 + z2) / 2, h, 0.1))
    one = ContrastiveHead(8, 5, 16, literal=True).loss(instances(views=1))
    assert float(one['loss_imid']) == pytest.approx(0, abs=1e-5)  # a batch of one


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


def test_position_free_loss_is_the_cross_entropy_both_ways():
    head, grid = build(), CellGrid(8, 12, 4)
    cells = torch.tensor([0, 2, 4])
    targets = pixel_targets(grid.centres(torch.float32).view(-1, 2)[cells][None], grid,
                            torch.ones(1, 3, dtype=torch.bool))
    points, pixels = torch.randn(1, 3, 5), torch.randn(1, 7, 2, 3)
    logits = head(points, pixels)[0]
    expected = F.cross_entropy(logits, cells) + F.cross_entropy(logits[:, cells].T, torch.arange(3))
    torch.testing.assert_close(head.loss(points, pixels, targets, 1.), expected)


def test_equal_content_is_equally_similar_wherever_it_lies():
    pixels = torch.randn(1, 7, 1, 1).expand(1, 7, 4, 6)
    logits = build()(torch.randn(1, 3, 5), pixels)
    torch.testing.assert_close(logits, logits[:, :, :1].expand_as(logits))


def test_every_parameter_is_trained():
    head = build()
    head(torch.randn(1, 30, 5), torch.randn(1, 7, 4, 6)).logsumexp(-1).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())
