import numpy as np
import pytest
import torch

from nclr_plugin.evaluation import AlignmentMetric, MatchingMetric

METHODS = ('cosine_hard', 'cosine_soft', 'learned_hard', 'learned_soft')


def brute_force(frames, method):
    """Errors of all points, one by one."""
    return np.array([
        np.hypot(*(found.double().numpy() - true.double().numpy()))
        for sample in frames for view in sample.matchings
        for found, true in zip(view.get(method), view.true_pixels)])


@pytest.mark.parametrize('accuracy_px', [5., 2.5])
def test_agrees_with_brute_force(make_samples, evaluate, accuracy_px):
    frames = make_samples(0, 12)
    found = evaluate(MatchingMetric(accuracy_px=accuracy_px), frames)
    for method in METHODS:
        errors = brute_force(frames, method)
        name = f'matching/{method}'
        assert found[f'{name}_error_px_mean'] == pytest.approx(errors.mean())
        assert found[f'{name}_error_px_std'] == pytest.approx(errors.std())
        assert found[f'{name}_error_px_median'] == pytest.approx(np.median(errors), rel=0.03)
        assert found[f'{name}_accuracy_{accuracy_px:g}px'] == pytest.approx(
            np.mean(errors < accuracy_px))
        assert found['matching/num_points'] == len(errors)
    assert len(found) == 4 * 4 + 1


@pytest.mark.parametrize('distance', [0., 1e-3, 3e4])
def test_median_of_extreme_errors(make_samples, evaluate, distance):
    sample = make_samples(1, 1)[0]
    sample.matchings = sample.matchings[:1]
    view = sample.matchings[0]
    view.true_pixels = torch.zeros(5, 2)
    for method in METHODS:
        view.set_data({method: torch.tensor([[distance, 0.]]).expand(5, 2)})
    median = evaluate(MatchingMetric(), [sample])['matching/learned_soft_error_px_median']
    # Below 0.1 px and beyond 1e4 px there is one bin each.
    assert 0 <= median <= 0.1 if distance < 0.1 else 9e3 < median <= 1e4


def test_views_without_points_count_as_none(make_samples, evaluate):
    frames = make_samples(2, 3)
    before = evaluate(MatchingMetric(), frames)
    for sample in frames:
        empty = {name: value[:0] for name, value in sample.matchings[0].items()}
        sample.matchings = sample.matchings + [type(sample.matchings[0])(**empty)]
    assert evaluate(MatchingMetric(), frames) == before
    only_empty = frames[0].clone()
    only_empty.matchings = only_empty.matchings[-1:]
    found = evaluate(MatchingMetric(), [only_empty])
    assert found['matching/num_points'] == 0
    assert np.isnan(found['matching/cosine_hard_error_px_mean'])
    assert np.isnan(found['matching/cosine_hard_accuracy_5px'])


def test_records_do_not_grow_with_the_number_of_points(make_samples):
    metric = MatchingMetric()
    metric.process(None, [make_samples(3, 1)[0].to_dict()])
    parts = metric.results[0]['sums']['cosine_hard']
    assert sum(np.asarray(part).nbytes for part in parts.values()) < 2000


def test_without_alignment_its_rows_are_left_out(make_samples, evaluate, log):
    found = evaluate(MatchingMetric(), make_samples(4, 5, learned=False))
    assert 'matching/cosine_soft_error_px_mean' in found
    assert not any('learned' in name for name in found)
    message, table = log
    assert message.startswith('MatchingMetric: no predictions of learned_hard, learned_soft,')
    assert 'Cosine + Soft-Match' in table and 'Learnable' not in table


def test_table_is_that_of_the_paper(make_samples, evaluate, log):
    found = evaluate(MatchingMetric(), make_samples(5, 5))
    table, = log
    rows = {line[:24].strip(): line[24:].split() for line in table.splitlines()[2:]}
    assert list(rows) == ['Cosine + Hard-Match', 'Cosine + Soft-Match',
                          'Learnable + Hard-Match', 'Learnable + Soft-Match']
    assert rows['Learnable + Soft-Match'] == [
        f"{found['matching/learned_soft_error_px_mean']:.2f}", '+-',
        f"{found['matching/learned_soft_error_px_std']:.2f}",
        f"{found['matching/learned_soft_error_px_median']:.2f}",
        f"{100 * found['matching/learned_soft_accuracy_5px']:.2f}"]


def test_similarity_agrees_with_brute_force(make_samples, evaluate):
    frames = make_samples(0, 10)
    found = evaluate(AlignmentMetric(), frames)
    for name in ('cosine_similarity', 'learned_similarity'):
        values = torch.cat([view.get(name) for s in frames for view in s.matchings]).double()
        assert found[f'alignment/{name}_mean'] == pytest.approx(values.mean().item())
        assert found[f'alignment/{name}_std'] == pytest.approx(values.std(unbiased=False).item())
        assert found['alignment/num_points'] == len(values)
    assert len(found) == 5


def test_similarity_without_alignment_is_left_out(make_samples, evaluate, log):
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


def test_table_of_similarity_has_both_rows(make_samples, evaluate, log):
    found = evaluate(AlignmentMetric(), make_samples(3, 5))
    assert [line.split() for line in log[0].splitlines()[1:]] == [
        [*title.split(), f"{found[f'alignment/{name}_mean']:.3f}", '+-',
         f"{found[f'alignment/{name}_std']:.3f}"]
        for title, name in (('w/o LTA', 'cosine_similarity'), ('w/ LTA', 'learned_similarity'))]
