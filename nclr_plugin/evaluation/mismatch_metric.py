"""Detection of images and scans of different places."""
from __future__ import annotations

from typing import Any, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from .confidence import Rejection, auroc, rejection
from .photometric_consistency import PhotometricConsistency

SCORES = 'photometric_consistency', 'inlier_ratio'


@METRICS.register_module()
class MismatchMetric(BaseMetric):
    """Report how well scores of the predicted pose separate mismatched images from matching ones.

    It needs a test with the mismatched-image control (``--mismatched-image-control``); otherwise
    there are no figures, and nothing is computed. The scores are ``photometric_consistency``, of
    the predicted pose (:class:`~nclr_plugin.evaluation.PhotometricConsistency`), which
    :class:`~nclr_plugin.apis.Calibrator` uses too, and ``inlier_ratio`` of the matches. For each:

    - ``<score>_auroc``: probability that a true pair scores higher than a mismatched one;
    - ``<score>_threshold``: threshold that accepts a share ``accepted`` of the true pairs of this
      test set;
    - ``<score>_rejected``: share of the mismatched pairs below it.

    A view without a pose has a score of -inf.

    Args:
        accepted: Share of the true pairs to accept.
        kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of mmengine's ``BaseMetric``.

    Attributes:
        roc: After an evaluation, the :class:`~nclr_plugin.evaluation.confidence.Rejection` of each
            score.
    """

    default_prefix = 'mismatch'

    def __init__(self, accepted: float = 0.9, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < accepted <= 1:
            raise ValueError(f'MismatchMetric: expected 0 < accepted <= 1, found {accepted}.')
        self.accepted = accepted
        self.roc: dict[str, Rejection] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the scores of each view of a batch.

        Args:
            data_batch: Batch with the ``points`` and ``imgs`` given to the model.
            data_samples: :class:`~nclr_plugin.structures.CalibrationDataSample` as dicts, with
                ``cam2img``, ``pred_lidar2cam``, ``pred_valid``, ``pred_inlier_ratio``.
        """
        if not (self.dataset_meta or {}).get('mismatched_image_control', True):
            self.results.extend(dict(true=True, **{name: [] for name in SCORES})
                                for _ in data_samples)
            return
        inputs = data_batch['inputs']
        for points, imgs, sample in zip(inputs['points'], inputs['imgs'], data_samples):
            points = points.cpu().numpy().astype(np.float64)
            record: dict[str, list] = {name: [] for name in SCORES}
            for view, img in enumerate(imgs.permute(0, 2, 3, 1).cpu().numpy()):
                valid = bool(sample['pred_valid'][view])
                record['photometric_consistency'].append(PhotometricConsistency(
                    np.ascontiguousarray(img), points, sample['cam2img'][view].cpu().numpy()
                ).score(sample['pred_lidar2cam'][view].cpu().numpy()) if valid else -np.inf)
                record['inlier_ratio'].append(
                    float(sample['pred_inlier_ratio'][view]) if valid else -np.inf)
            self.results.append(dict(true=not sample.get('mismatched_image', False), **record))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Return the figures over all views; none if all pairs are of one kind.

        Args:
            results: Records of :meth:`process`, of all processes.
        """
        true = np.concatenate([[frame['true']] * len(frame['inlier_ratio']) for frame in results])
        true = true.astype(bool)
        self.roc = {}
        if true.all() or not true.any():
            return {}
        metrics = {}
        for name in SCORES:
            scores = np.concatenate([frame[name] for frame in results])
            result = self.roc[name] = rejection(scores, true, self.accepted)
            metrics[f'{name}_auroc'] = auroc(scores, true)
            metrics[f'{name}_threshold'] = result.threshold
            metrics[f'{name}_rejected'] = result.rejected
            print_log(
                f'Mismatched images among {len(true)} views, by {name}: AUROC '
                f'{metrics[f"{name}_auroc"]:.3f}; the threshold {result.threshold:.3f} accepts '
                f'{100 * self.accepted:g}% of the true pairs and rejects '
                f'{100 * result.rejected:.1f}% of the others', logger='current')
        return metrics
