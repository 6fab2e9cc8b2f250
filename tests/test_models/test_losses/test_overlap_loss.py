"""Eq. 3 transcribed."""
import torch

from nclr_plugin.models.losses import overlap_loss


def test_equals_the_equation_view_by_view():
    torch.manual_seed(0)
    point_logits, pixel_logits = torch.randn(2, 5), torch.randn(2, 3, 4)
    point_labels, pixel_labels = torch.rand(2, 5) > .5, torch.rand(2, 3, 4) > .5
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    expected = 0
    for view in range(2):
        terms = []
        for logit, label in zip(point_logits[view][mask[view]], point_labels[view][mask[view]]):
            score = 1 / (1 + torch.exp(-logit))
            terms.append(-torch.log(score) if label else -torch.log(1 - score))
        expected += sum(terms) / len(terms)
        score = 1 / (1 + torch.exp(-pixel_logits[view]))
        expected += -torch.where(pixel_labels[view], score.log(), (1 - score).log()).mean()
    result = overlap_loss(point_logits, point_labels, mask, pixel_logits, pixel_labels)
    torch.testing.assert_close(result, expected / 2)


def test_extreme_logits_and_a_view_without_points_are_finite():
    logits = torch.tensor([[500., -500.], [0., 0.]], requires_grad=True)
    labels = torch.tensor([[False, True], [True, True]])
    mask = torch.tensor([[True, True], [False, False]])
    loss = overlap_loss(logits, labels, mask, torch.zeros(2, 1, 1), torch.ones(2, 1, 1).bool())
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()
    assert (logits.grad[1] == 0).all()
