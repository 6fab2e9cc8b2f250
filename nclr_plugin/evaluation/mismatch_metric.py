"""Whether images and scans of different places are told."""
from __future__ import annotations

from typing import Any, Dict, List, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from .appearance import appearance_agreement
from .confidence import Rejection, auroc, rejection

SCORES = 'agreement', 'inlier_ratio'


@METRICS.register_module()
class MismatchMetric(BaseMetric):
    """How well a score of the predicted pose tells pairs of one place from pairs of different ones.

    For a test with the wrong-image control (``--wrong-image-control``); without, there are no
    figures. The scores: ``agreement``, of the appearance under the predicted pose
    (:func:`~nclr_plugin.evaluation.appearance_agreement`), which
    :class:`~nclr_plugin.apis.Calibrator` uses, and ``inlier_ratio`` of the matches. Of each

    - ``<score>_auroc``: probability that a true pair has more than a wrong one;
    - ``<score>_threshold``: the least score of a pair that passes, so that a share ``accepted`` of
      the true pairs does; ``<score>_rejected``: share of the wrong pairs below it. The threshold is
      of this test set.

    A view without a pose has the least score.

    Args:
        accepted: Share of the true pairs that shall pass.
        kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of mmengine's ``BaseMetric``.

    Attributes:
        roc: After an evaluation, by score, a :class:`~nclr_plugin.evaluation.confidence.Rejection`.
    """

    default_prefix = 'mismatch'

    def __init__(self, accepted: float = 0.9, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < accepted <= 1:
            raise ValueError(f'MismatchMetric: expected 0 < accepted <= 1, found {accepted}.')
        self.accepted = accepted
        self.roc: Dict[str, Rejection] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the scores of each view of a batch.

        Args:
            data_batch: With the ``points`` and ``imgs`` that the model saw.
            data_samples: :class:`~nclr_plugin.structures.CalibrationDataSample` as dicts, with
                ``cam2img``, ``pred_lidar2cam``, ``pred_valid``, ``pred_inlier_ratio``.
        """
        inputs = data_batch['inputs']
        for points, imgs, sample in zip(inputs['points'], inputs['imgs'], data_samples):
            points = points.cpu().numpy().astype(np.float64)
            record: Dict[str, list] = {name: [] for name in SCORES}
            for view, img in enumerate(imgs.permute(0, 2, 3, 1).cpu().numpy()):
                valid = bool(sample['pred_valid'][view])
                record['agreement'].append(appearance_agreement(
                    np.ascontiguousarray(img), points,
                    sample['pred_lidar2cam'][view].cpu().numpy(),
                    sample['cam2img'][view].cpu().numpy()) if valid else -np.inf)
                record['inlier_ratio'].append(
                    float(sample['pred_inlier_ratio'][view]) if valid else -np.inf)
            self.results.append(dict(true=not sample.get('wrong_image', False), **record))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Figures over all views; none when all pairs are of one kind.

        Args:
            results: What :meth:`process` kept, of all processes.
        """
        true = np.concatenate([[frame['true']] * len(frame['agreement']) for frame in results])
        true = true.astype(bool)
        self.roc = {}
        if true.all() or not true.any():
            return {}
        metrics = {}
        for name in SCORES:
            scores = np.concatenate([frame[name] for frame in results])
            found = self.roc[name] = rejection(scores, true, self.accepted)
            metrics[f'{name}_auroc'] = auroc(scores, true)
            metrics[f'{name}_threshold'] = found.threshold
            metrics[f'{name}_rejected'] = found.rejected
            print_log(
                f'Wrong images among {len(true)} views told by {name}: AUROC '
                f'{metrics[f"{name}_auroc"]:.3f}; from {found.threshold:.3f} on '
                f'{100 * self.accepted:g}% of the true pairs pass, and '
                f'{100 * found.rejected:.1f}% of the wrong ones do not', logger='current')
        return metrics
