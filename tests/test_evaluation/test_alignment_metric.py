import numpy as np
import pytest
import torch

from nclr_plugin.evaluation import AlignmentMetric


def test_agrees_with_brute_force(make_samples, evaluate):
    frames = make_samples(0, 10)
    found = evaluate(AlignmentMetric(), frames)
    for name in ('cosine_similarity', 'learned_similarity'):
        values = torch.cat([view.get(name) for s in frames for view in s.matchings]).double()
        assert found[f'alignment/{name}_mean'] == pytest.approx(values.mean().item())
        assert found[f'alignment/{name}_std'] == pytest.approx(values.std(unbiased=False).item())
        assert found['alignment/num_points'] == len(values)
    assert len(found) == 5


def test_without_alignment_its_row_is_left_out(make_samples, evaluate, log):
    found = evaluate(AlignmentMetric(), make_samples(1, 5, learned=False))
    assert set(found) == {'alignment/cosine_similarity_mean', 'alignment/cosine_similarity_std',
                          'alignment/num_points'}
    message, table = log
    assert 'no predictions of learned_similarity' in message and 'w/ LTA' not in table


def test_without_points_there_is_no_similarity(make_samples, evaluate):
    sample = make_samples(2, 1)[0]
    empty = {name: value[:0] for name, value in sample.matchings[0].items()}
    sample.matchings = [type(sample.matchings[0])(**empty)]
    found = evaluate(AlignmentMetric(), [sample])
    assert found['alignment/num_points'] == 0
    assert np.isnan(found['alignment/cosine_similarity_mean'])


def test_table_has_both_rows(make_samples, evaluate, log):
    found = evaluate(AlignmentMetric(), make_samples(3, 5))
    assert [line.split() for line in log[0].splitlines()[1:]] == [
        [*title.split(), f"{found[f'alignment/{name}_mean']:.3f}", '+-',
         f"{found[f'alignment/{name}_std']:.3f}"]
        for title, name in (('w/o LTA', 'cosine_similarity'), ('w/ LTA', 'learned_similarity'))]
