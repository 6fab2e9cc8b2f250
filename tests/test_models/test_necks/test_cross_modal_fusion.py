"""Shapes, gradients, independence of padding and order, and the position code."""
import pytest
import torch

from nclr_plugin.models.necks import CrossModalFusion
from nclr_plugin.models.layers.batching import dense_batch


@pytest.fixture
def fusion():
    torch.manual_seed(0)
    return CrossModalFusion(
        point_channels=12, pixel_channels=10, embed_dims=24, num_heads=2, num_layers=2,
        ffn_channels=32, num_keypoints=64).eval()


def _inputs(scans=(0, 0, 0, 1, 1), views=(0, 1, 1), seed=0):
    generator = torch.Generator().manual_seed(seed)
    batch = torch.tensor(scans)
    return dict(
        point_feats=torch.randn(len(batch), 12, generator=generator),
        points=torch.randn(len(batch), 3, generator=generator) * 10,
        point_batch_index=batch,
        pixel_feats=torch.randn(len(views), 10, 2, 3, generator=generator),
        azimuth=torch.randn(len(views), 3, 6, generator=generator),
        view_batch_index=torch.tensor(views),
        batch_size=int(batch.max()) + 1)


def test_shapes_and_gradients_reach_every_parameter(fusion):
    inputs = _inputs()
    points, pixels = fusion(**inputs)
    assert points.shape == inputs['point_feats'].shape
    assert pixels.shape == inputs['pixel_feats'].shape
    (points.square().sum() + pixels.square().sum()).backward()
    without = [name for name, p in fusion.named_parameters() if p.grad is None]
    # The last layer's keys of unused outputs aside, everything takes part.
    assert without == []


def test_a_scan_in_a_batch_gives_what_it_gives_alone(fusion):
    both = _inputs()
    points, pixels = fusion(**both)
    alone = dict(both, batch_size=1)
    for key, keep in (('point_feats', slice(0, 3)), ('points', slice(0, 3)),
                      ('point_batch_index', slice(0, 3)), ('pixel_feats', slice(0, 1)),
                      ('azimuth', slice(0, 1)), ('view_batch_index', slice(0, 1))):
        alone[key] = both[key][keep]
    alone_points, alone_pixels = fusion(**alone)
    torch.testing.assert_close(points[:3], alone_points, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pixels[:1], alone_pixels, rtol=1e-4, atol=1e-5)


def assert_equivariant(fusion, inputs, order):
    """Voxels in another order have the same features, and so have pixels."""
    points, pixels = fusion(**inputs)
    shuffled = dict(inputs, **{k: inputs[k][order]
                               for k in ('point_feats', 'points', 'point_batch_index')})
    shuffled_points, shuffled_pixels = fusion(**shuffled)
    torch.testing.assert_close(shuffled_points, points[order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shuffled_pixels, pixels, rtol=1e-4, atol=1e-5)


def test_order_of_voxels_does_not_matter(fusion):
    inputs = _inputs()
    assert_equivariant(fusion, inputs, torch.tensor([4, 1, 3, 0, 2]))


def test_information_flows_both_ways_and_only_within_a_scan(fusion):
    inputs = _inputs()
    points, pixels = fusion(**inputs)
    changed = dict(inputs, pixel_feats=inputs['pixel_feats'].clone())
    changed['pixel_feats'][0] += 1
    moved, _ = fusion(**changed)
    assert (moved[:3] - points[:3]).abs().min(1)[0].max() > 1e-4
    torch.testing.assert_close(moved[3:], points[3:])

    changed = dict(inputs, point_feats=inputs['point_feats'].clone())
    changed['point_feats'][0] += 1
    _, moved = fusion(**changed)
    assert (moved[0] - pixels[0]).abs().max() > 1e-4
    torch.testing.assert_close(moved[1:], pixels[1:])


def test_positions_matter(fusion):
    inputs = _inputs()
    points, _ = fusion(**inputs)
    moved, _ = fusion(**dict(inputs, points=inputs['points'] + 5))
    assert (moved - points).abs().max() > 1e-3


def test_keypoints_are_spread_evenly_and_bounded(fusion):
    fusion.num_keypoints = 4
    points = torch.zeros(12, 3)
    points[:9, 0] = torch.arange(9.).flip(0)
    padding = dense_batch(torch.tensor([0] * 9 + [1] * 3), 2)
    keys, key_mask = fusion._sample_keypoints(padding, points)
    assert keys[0].tolist() == [8, 6, 4, 2] and key_mask[0].all()
    assert keys[1, key_mask[1]].tolist() == [0, 1, 2]


@pytest.mark.parametrize('num_keypoints', [7, 30, 64])
def test_keypoints_are_chosen_by_position_not_by_row(fusion, num_keypoints):
    """On a GPU the rows of strided sparse convolutions have another order in every run."""
    fusion.num_keypoints = num_keypoints
    inputs = _inputs(scans=[0] * 40 + [1] * 50)
    inputs['points'] = inputs['points'].round()  # many have an equal x or y
    assert_equivariant(fusion, inputs,
                       torch.randperm(90, generator=torch.Generator().manual_seed(1)))


def test_padded_scans_attend_under_mixed_precision(fusion):
    """torch 2.0 refuses the mask there, which is of another type than the queries."""
    inputs = _inputs()
    expected = fusion(**inputs)
    with torch.autocast('cpu', torch.bfloat16):
        found = fusion(**inputs)
    for side, reference in zip(found, expected):
        assert (side.float() - reference).abs().max() < 0.05 * reference.abs().max()
