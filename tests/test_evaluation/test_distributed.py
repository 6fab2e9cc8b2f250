"""Two processes, the second of which has a padded frame, find what one finds."""
import numpy as np
import pytest
import torch

from nclr_plugin.evaluation import (AlignmentMetric, CalibrationMetric, MatchingMetric,
                                    OverlapMetric)

METRICS = (AlignmentMetric, MatchingMetric, OverlapMetric, CalibrationMetric)


def evaluate_half(rank, folder, frames):
    """Evaluate every second frame, around the end as mmengine's sampler does it."""
    own = [frames[index % len(frames)] for index in range(rank, len(frames) + 1, 2)]
    found = []
    for metric in METRICS:
        metric = metric(collect_dir=str(folder / metric.__name__))
        for sample in own:
            metric.process(None, [sample.to_dict()])
        found.append(metric.evaluate(len(frames)))
    return found


@pytest.fixture
def frames(make_samples):
    """Five frames and two of the control, with poses."""
    rng = np.random.default_rng(0)
    frames = make_samples(0, 5) + make_samples(1, 2, mismatched_image=True)
    for sample in frames:
        views = len(sample.matchings)
        sample.set_metainfo(dict(rigid_transform=np.eye(4)))
        sample.lidar2cam = torch.eye(4, dtype=torch.float64).repeat(views, 1, 1)
        sample.pred_lidar2cam = sample.lidar2cam.clone()
        sample.pred_lidar2cam[:, :3, 3] += torch.tensor(rng.normal(size=(views, 3)))
        sample.pred_valid = torch.tensor(rng.random(views) < 0.8)
        sample.pred_inlier_ratio = torch.tensor(rng.random(views))
    return frames


def test_two_processes_find_what_one_finds(frames, evaluate, tmp_path, in_two_processes):
    found = in_two_processes(evaluate_half, tmp_path, frames)
    for index, metric in enumerate(METRICS):
        expected = evaluate(metric(), frames)
        assert expected and found[0][index].keys() == expected.keys()
        assert found[0][index] == pytest.approx(expected, rel=1e-9, nan_ok=True)
        assert found[1][index] == pytest.approx(found[0][index], nan_ok=True)  # told by the first
