"""What the metrics made of sums over frames have in common."""
import pytest

from nclr_plugin.evaluation import AlignmentMetric, MatchingMetric, OverlapMetric

METRICS = (AlignmentMetric, MatchingMetric, OverlapMetric)


@pytest.mark.parametrize('metric', METRICS)
def test_frames_with_wrong_images_do_not_count(make_samples, evaluate, metric):
    frames = make_samples(0, 5)
    control = make_samples(1, 5, wrong_image=True)
    assert evaluate(metric(), frames + control) == evaluate(metric(), frames)


@pytest.mark.parametrize('metric', METRICS)
def test_without_the_fields_the_figures_are_left_out(make_samples, evaluate, metric, log):
    assert evaluate(metric(), make_samples(2, 3, overlap=False, matchings=False)) == {}
    assert len(log) == 1 and log[0].startswith(f'{metric.__name__}: no predictions of ')


@pytest.mark.parametrize('metric', METRICS)
def test_nothing_to_evaluate_is_an_error(make_samples, evaluate, metric):
    with pytest.raises(ValueError, match=f'{metric.__name__}: no frame to evaluate'):
        evaluate(metric(), [])
    with pytest.raises(ValueError, match=r'found 2 frames, all of them with wrong_image set'):
        evaluate(metric(), make_samples(3, 2, wrong_image=True))
