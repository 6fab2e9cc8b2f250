"""Samples with random predictions, and metrics over them."""
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from nclr_plugin.structures import CalibrationDataSample

METHODS = ('cosine_hard', 'cosine_soft', 'learned_hard', 'learned_soft')


def matching(rng, points, learned=True):
    """A view in which some points are matched."""
    true = rng.uniform(0, 300, (points, 2))
    found = dict(points=rng.normal(size=(points, 3)), true_pixels=true)
    for index, method in enumerate(METHODS if learned else METHODS[:2]):
        found[method] = true + rng.normal(size=(points, 2)) * (12 - 3 * index)
    found['cosine_similarity'] = rng.uniform(-1, 1, points)
    if learned:
        found['learned_similarity'] = rng.uniform(0, 1, points)
    return BaseDataElement(**{
        name: torch.tensor(value, dtype=torch.float32) for name, value in found.items()})


def overlap_sample(rng, sample, views, thresholds):
    """Scores that tell inside from outside, but not well, on both sides."""
    sample.overlap_thresholds = torch.tensor(thresholds)
    for side, shape in (('point', (views, 50)), ('pixel', (views, 6, 8))):
        truth = rng.random(shape) < 0.2
        score = np.where(truth, rng.beta(3, 2, shape), rng.beta(2, 4, shape))
        score.flat[:5] = 0., 1., 0.25, 0.5, 0.07
        setattr(sample, f'gt_{side}_overlap', torch.tensor(truth))
        setattr(sample, f'pred_{side}_overlap', torch.tensor(score, dtype=torch.float32))


@pytest.fixture
def make_samples():
    """Frames of one to three views, some without points; optionally without parts of a model."""

    def make(seed, frames, learned=True, overlap=True, matchings=True, mismatched_image=False,
             thresholds=(0.25, 0.4)):
        rng = np.random.default_rng(seed)
        out = []
        for frame in range(frames):
            views = int(rng.integers(1, 4))
            sample = CalibrationDataSample(
                metainfo=dict(frame_id=f'00/{frame:06d}', mismatched_image=mismatched_image))
            if matchings:
                sample.matchings = [
                    matching(rng, int(rng.integers(0, 3)) * 40, learned) for _ in range(views)]
            if overlap:
                overlap_sample(rng, sample, views, thresholds)
            out.append(sample)
        return out

    return make


@pytest.fixture
def evaluate():
    """Figures of a metric over frames, as the evaluator calls it."""

    def call(metric, frames):
        for sample in frames:
            metric.process(None, [sample.to_dict()])
        return metric.evaluate(len(frames))

    return call


@pytest.fixture
def log(monkeypatch):
    """What the metrics say in the log."""
    lines = []
    for module in ('calibration_metric', 'matching_metrics'):
        monkeypatch.setattr(f'nclr_plugin.evaluation.{module}.print_log',
                            lambda message, **_: lines.append(message))
    return lines
