"""Cross-entropy and Lovasz-Softmax of labelled voxels; offsets to the centres of objects."""
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch.nn import functional as F

from nclr_plugin.models.heads import OffsetHead
from nclr_plugin.models.heads.segmentation_heads import box_centres

pytest.importorskip('mmdet3d')
pytest.importorskip('mmdet')
IGNORED = 3


@pytest.fixture
def head():
    import nclr_plugin  # noqa: F401
    init_default_scope('mmdet3d')
    return MODELS.build(dict(
        type='LovaszMinkUNetHead', channels=5, num_classes=3, dropout_ratio=0,
        ignore_index=IGNORED, lovasz_weight=6.,
        loss_decode=dict(type='mmdet.CrossEntropyLoss', avg_non_ignore=True, loss_weight=2.)))


def losses_of(head, logits, labels):
    from mmdet3d.structures import Det3DDataSample, PointData
    sample = Det3DDataSample()
    sample.gt_pts_seg = PointData(voxel_semantic_mask=labels)
    return head.loss_by_feat(logits, [sample])


def lovasz_by_definition(logits, labels):
    """Lovasz extension of the Jaccard loss, class by class: sums over sets of largest errors."""
    probabilities = F.softmax(logits, dim=1).detach().double().numpy()
    labels, losses = labels.numpy(), []
    for index in np.unique(labels):
        true = labels == index
        errors = np.abs(true - probabilities[:, index])
        order = np.argsort(-errors, kind='stable')
        value, before = 0., 0.
        for count in range(1, len(order) + 1):
            wrong = np.isin(np.arange(len(true)), order[:count])
            jaccard = 1 - (true & ~wrong).sum() / (true | wrong).sum()
            value += errors[order[count - 1]] * (jaccard - before)
            before = jaccard
        losses.append(value)
    return np.mean(losses)


def test_losses_by_definition(head):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 3, generator=generator)
    labels = torch.randint(0, 4, (40, ), generator=generator)
    losses = losses_of(head, logits, labels)
    known = labels != IGNORED
    assert float(losses['loss_ce']) == pytest.approx(
        2 * float(F.cross_entropy(logits[known], labels[known])), rel=1e-5)
    assert float(losses['loss_lovasz']) == pytest.approx(
        6 * lovasz_by_definition(logits[known], labels[known]), rel=1e-5)


@pytest.mark.parametrize('labelled', [0, 1, 2])
def test_hardly_any_label(head, labelled):
    logits = torch.randn(5, 3, requires_grad=True)
    labels = torch.full((5, ), IGNORED)
    labels[:labelled] = 1
    losses = losses_of(head, logits, labels)
    assert all(loss.ndim == 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert logits.grad[labelled:].abs().max() == 0
    assert (logits.grad[:labelled].abs() > 0).all()


def test_box_centres():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(0, 5, (500, 3)), rng.integers(0, 7, (500, 2))
    expected = np.empty_like(points)
    for label in np.unique(labels, axis=0):
        rows = (labels == label).all(axis=1)
        expected[rows] = (points[rows].min(axis=0) + points[rows].max(axis=0)) / 2
    centres = box_centres(torch.from_numpy(points), torch.from_numpy(labels))
    np.testing.assert_allclose(centres.numpy(), expected)


def loss_of(head, centres, points, semantic, instance):
    return head.loss(*([torch.as_tensor(t)] for t in (centres, points, semantic, instance)))


def test_loss_is_the_mean_l1_distance_of_the_points_of_instances():
    points = torch.tensor([[0., 0, 0], [2, 0, 0], [10, 0, 0], [10, 4, 0], [5, 5, 5], [6, 6, 6]])
    semantic = torch.tensor([0, 0, 0, 1, 0, 9])  # the last is stuff, the one before has no id
    instance = torch.tensor([1, 1, 2, 2, 0, 3])
    centres = torch.zeros(6, 3)
    # True centres: (1, 0, 0) twice, (10, 0, 0), and (10, 4, 0): one id, but another class.
    loss = loss_of(OffsetHead(4, thing_classes=[0, 1]), centres, points, semantic, instance)
    assert float(loss['loss_offset']) == pytest.approx((1 + 1 + 10 + 14) / 4)


def test_perfect_centres_cost_nothing_and_no_instance_costs_nothing():
    head = OffsetHead(4, thing_classes=[0])
    points = torch.rand(20, 3)
    semantic, instance = torch.zeros(20).long(), torch.arange(20) // 10 + 1
    true = box_centres(points, instance[:, None])
    assert float(loss_of(head, true, points, semantic, instance)['loss_offset']) == 0
    centres = torch.rand(20, 3, requires_grad=True)
    loss = loss_of(head, centres, points, semantic, torch.zeros(20).long())['loss_offset']
    loss.backward()
    assert float(loss) == 0 and float(centres.grad.abs().max()) == 0


def test_scans_have_instances_of_their_own():
    head = OffsetHead(4, thing_classes=[0])
    points = [torch.zeros(3, 3), torch.full((3, 3), 8.)]
    masks = [torch.zeros(3).long()] * 2, [torch.ones(3).long()] * 2
    assert float(head.loss(points, points, *masks)['loss_offset']) == 0


def test_forward_shape():
    assert OffsetHead(16, thing_classes=[0])(torch.rand(9, 16)).shape == (9, 3)
