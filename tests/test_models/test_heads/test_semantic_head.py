"""Cross-entropy and Lovasz-Softmax of labelled voxels."""
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch.nn import functional as F

pytest.importorskip('mmdet3d')
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
