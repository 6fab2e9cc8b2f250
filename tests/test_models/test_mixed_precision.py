"""What must not be computed in half precision is not: under autocast the same as without."""
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.geometry.pnp import solve_pnp
from nclr_plugin.models.backbones import dgcnn
from nclr_plugin.models.heads import (ContrastiveHead, MatchingHead, PositionFreeContrastiveHead,
                                      YawHead)
from nclr_plugin.models.heads.contrastive_head import Augmentation, Instances
from nclr_plugin.models.heads.matching_head import refine_matches
from nclr_plugin.models.layers.attention import pixel_pos_encoding, point_pos_encoding
from nclr_plugin.models.layers.voxelization import voxelize
from nclr_plugin.models.layers.batching import gather_columns
from nclr_plugin.models.losses.contrastive_loss import (instance_loss, pixel_targets,
                                                        pixel_to_point_loss, point_to_pixel_loss,
                                                        printed_cross_modal_loss)
from nclr_plugin.models.necks.superpoints import distance_code, offset_code, group_superpoints
from nclr_plugin.models.pretrainers.base import CalibrationModel


def assert_as_in_float32(compute):
    """``compute()`` gives the same, bit by bit, under bfloat16 autocast."""
    results = []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            results.append(compute())
    for plain, autocast in zip(*results):
        assert autocast.dtype == plain.dtype
        torch.testing.assert_close(autocast, plain, rtol=0, atol=0)


@pytest.fixture
def scan():
    """Points around the sensor, metres, half of them of a second scan."""
    torch.manual_seed(0)
    points = torch.randn(600, 3) * torch.tensor([30., 30., 1.])
    return SimpleNamespace(points=points, batch=torch.arange(600) // 300)


@pytest.fixture
def sides():
    """Normalised features (V, K, D), (V, L, D)."""
    torch.manual_seed(0)
    return [nn.functional.normalize(torch.randn(2, count, 16), dim=-1) for count in (40, 60)]


@pytest.mark.parametrize('channels', [2, 3, 64])
def test_graphs_of_nearest_neighbours(scan, channels, monkeypatch):
    """As on a GPU, where there is no tree."""
    monkeypatch.setattr(dgcnn, 'TREE_DIMENSIONS', 0)
    feats = scan.points[:, :channels] if channels < 4 else torch.randn(600, channels) + 20
    assert_as_in_float32(
        lambda: [dgcnn.nearest_neighbours(feats, scan.batch, 2, range(0, 20, 2))])


@pytest.mark.parametrize('dynamic', [False, True])
def test_every_graph_of_a_dgcnn(scan, dynamic, monkeypatch):
    torch.manual_seed(0)
    net = dgcnn.DGCNN(channels=(8, 8, 16), out_channels=8, k=6, dynamic=dynamic)
    feats = torch.cat((scan.points, torch.rand(600, 1)), 1)
    found = []
    for layer in net.layers:
        layer.register_forward_hook(lambda module, inputs, out: found.extend((inputs[1], out)))

    def compute():
        found.clear()
        net(feats, scan.batch, 2, net.graph(scan.points, scan.batch, 2))
        return list(found)

    assert_as_in_float32(compute)


def test_second_geometric_transformation(scan):
    augment = Augmentation(scale=.2, jitter=.02)
    assert_as_in_float32(lambda: [augment(scan.points, scan.batch)])


def test_superpoints_and_position_codes(scan):
    assert_as_in_float32(lambda: group_superpoints(scan.points, scan.batch, 2, 40, 2., 16))
    assert_as_in_float32(lambda: [
        point_pos_encoding(scan.points, 48), distance_code(scan.points[None, :50]),
        pixel_pos_encoding(4, torch.randn(1, 6, 8), 48, (2., 100.))])


def test_offsets_of_superpixels_do_not_take_the_type_of_the_features():
    """Of 8-bit precision, columns beyond 256 would be every second one alone."""
    code = offset_code(1, 300, torch.zeros(1))
    assert code.dtype == torch.float32 and len(code[0].unique(dim=0)) == 300


def test_voxels(scan):
    scans = [scan.points[:300], scan.points[300:]]
    assert_as_in_float32(lambda: voxelize(scans, (.5, .5, .5))[:-1])


@pytest.mark.parametrize('alignment', [False, True])
def test_similarities_and_matches(sides, alignment):
    head = MatchingHead(4, 4, embed_dims=16, alignment=alignment)
    if alignment:
        nn.init.normal_(head.alignment_weight)
    points, pixels = sides
    centres, pixel_mask = torch.rand(60, 2) * 512, torch.rand(2, 60) > .2
    assert_as_in_float32(lambda: [
        head.similarity(points, pixels), head.logits(points, pixels),
        head.similarity(points, pixels, aligned=False), *head.aligned_features(points, pixels),
        *head.match(points, pixels, centres, pixel_mask, 'soft')[:2],
        *head.match(points, pixels, centres, pixel_mask, 'hard')[:2]])
    half = head.similarity(points.bfloat16(), pixels.bfloat16())
    assert half.dtype == torch.float32, 'as documented'


def test_refined_matches(sides):
    similarity = sides[0] @ sides[1].transpose(1, 2)

    def compute():
        matches = refine_matches(similarity, similarity > -.5, CellGrid(24, 40, stride=4), .02)
        return [*matches[:2], matches.valid]

    assert_as_in_float32(compute)


def test_yaw():
    torch.manual_seed(0)
    head = YawHead(4, 4, embed_dims=8)
    columns = torch.linspace(-9, 9, head.num_sectors).expand(2, -1)
    with torch.autocast('cpu', torch.bfloat16):
        logits, code = head(torch.rand(50, 4), torch.randn(50, 3), torch.zeros(50).long(),
                            torch.rand(2, 4, 3, 8), columns, torch.zeros(2).long(), 1)
    expected = logits.softmax(1) @ head._sector_codes(logits)
    assert logits.dtype == code.dtype == torch.float32
    torch.testing.assert_close(code, expected, rtol=0, atol=0)


def test_content(sides):
    head = PositionFreeContrastiveHead(16, 16)
    head.point_proj = head.pixel_proj = nn.Identity()
    pixel_map = sides[1].transpose(1, 2).unflatten(2, (6, 10))
    assert_as_in_float32(lambda: [head(sides[0], pixel_map)])


@pytest.mark.parametrize('loss', [instance_loss, printed_cross_modal_loss])
def test_instance_discrimination(sides, loss):
    first, second = sides[0], sides[1][:, :40]
    assert_as_in_float32(lambda: [loss(first, second, .1)])


@pytest.mark.parametrize('literal', [False, True])
def test_contrastive_head(sides, literal):
    head = ContrastiveHead(16, 16, literal=literal)
    head.point_proj = head.pixel_proj = nn.Identity()
    first, second = sides[0], sides[1][:, :40]
    seen = torch.rand(2, 40) > .3
    pairs = torch.zeros(2, 40, 40, dtype=torch.bool)
    instances = Instances(first, second, first + second, torch.ones_like(seen), seen, pairs, pairs)
    assert_as_in_float32(lambda: head.loss(instances).values())
    half = instances._replace(image=instances.image.bfloat16())
    whole = instances._replace(image=half.image.float())
    assert_as_in_float32(lambda: head.loss(whole).values())
    for name, value in head.loss(half).items():  # its mean over the visible is in float32
        torch.testing.assert_close(value, head.loss(whole)[name], rtol=0, atol=0)


def test_losses_of_matching(sides):
    logits = sides[0] @ sides[1].transpose(1, 2) / .07
    pixels, valid = torch.rand(2, 40, 2) * torch.tensor([40., 24.]), torch.rand(2, 40) > .2
    targets = pixel_targets(pixels, CellGrid(height=24, width=40, stride=4), valid)
    assert_as_in_float32(lambda: [
        point_to_pixel_loss(logits, targets, 8.),
        pixel_to_point_loss(gather_columns(logits, targets.cell), targets, 8.)])


def test_predicted_overlap():
    """In bfloat16, probabilities above one half have steps of 0.004: thresholds of 0.02 differ."""
    logits = torch.linspace(-4, 4, 2000).bfloat16()
    model = SimpleNamespace(overlap_head=SimpleNamespace(thresholds=torch.tensor([.98, .98])))
    features = SimpleNamespace(
        point_logits=logits[None], pixel_logits=logits.view(1, 40, 50),
        view_voxels=SimpleNamespace(mask=torch.ones(1, 2000, dtype=torch.bool)))
    expected = logits.float().sigmoid() > .98
    for found in CalibrationModel.predicted_overlap(model, features):
        assert torch.equal(found[0], expected)


def test_differentiable_pnp(scan):
    torch.manual_seed(0)
    points = scan.points[None, :60] * .2 + torch.tensor([0., 0., 20.])
    cam2img = torch.tensor([[[300., 2, 160], [0, 310, 120], [0, 0, 1]]])
    pixels = (points / points[..., 2:]) @ cam2img.transpose(1, 2)
    pixels = pixels[..., :2] + torch.randn(1, 60, 2)
    assert_as_in_float32(lambda: solve_pnp(points, pixels, cam2img))
