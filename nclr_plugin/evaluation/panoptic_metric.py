"""Panoptic quality by mmdet3d's ``PanopticSegMetric``, with fixes."""
from __future__ import annotations

from typing import Any, Sequence

import numpy as np
from mmdet3d.evaluation.functional.panoptic_seg_eval import EvalPanoptic
from mmdet3d.evaluation.metrics import PanopticSegMetric
from mmengine.logging import print_log

ID_OFFSET = 2**32  # more than the segments of a scan
COUNTS = ('pan_tp', 'pan_fp', 'pan_fn', 'pan_iou', 'confusion_matrix')


class PanopticMetric(PanopticSegMetric):
    """Report PQ, PQ-dagger, SQ, RQ and mIoU as fractions, by mmdet3d's counts of each scan.

    The figures equal mmdet3d's except that

    - a point without a label does not raise an ``IndexError``;
    - stuff is one segment per class, and an instance may have any id, also a negative one or one
      above ``id_offset``;
    - means are over the classes that occur, where mmdet3d counts an absent class as zero; on a
      whole validation set, which has all classes, both are the same. A class occurs for PQ when it
      has a segment that counts, for IoU when it is predicted or true somewhere. If no class occurs,
      the figure is NaN;
    - a scan is kept as a few sums instead of four labels for every point.

    Args:
        thing_class_inds: Classes that have instances; the others are stuff.
        min_num_points: Unmatched segments with fewer points do not count as errors: 50 in
            SemanticKITTI, 15 in nuScenes.
        kwargs: ``prefix``, ``collect_device`` of mmengine's ``BaseMetric``.
    """

    def __init__(self, thing_class_inds: Sequence[int], min_num_points: int, **kwargs) -> None:
        super().__init__(
            thing_class_inds=list(thing_class_inds),
            stuff_class_inds=[],
            min_num_points=min_num_points,
            id_offset=ID_OFFSET,
            **kwargs)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the segments of each scan.

        Args:
            data_batch: Not used.
            data_samples: mmdet3d's data samples as dicts, with ``pred_pts_seg`` and
                ``eval_ann_info``, each with ``pts_semantic_mask`` and ``pts_instance_mask`` (N,).

        Raises:
            ValueError: If one of these is missing.
        """
        for sample in data_samples:
            prediction = {key: np.asarray(value.cpu())
                          for key, value in sample['pred_pts_seg'].items()}
            self.results.append(self._count(sample['eval_ann_info'], prediction))

    def compute_metrics(self, results: list[dict[str, np.ndarray]]) -> dict[str, float]:
        """Compute the figures over all scans, and log a table of the classes."""
        total = {name: np.sum([result[name] for result in results], axis=0) for name in COUNTS}
        classes = self.dataset_meta['classes']
        rates = class_rates(total, self.dataset_meta['ignore_index'], len(classes))
        thing = np.isin(np.arange(len(classes)), self.thing_class_inds)
        print_log(_table(classes, thing, rates), logger='current')
        figures = dict(
            pq=rates['pq'],
            pq_dagger=np.where(thing, rates['pq'], rates['iou']),
            sq_mean=rates['sq'],
            rq_mean=rates['rq'],
            miou=rates['iou'])
        for name in ('pq', 'sq', 'rq'):
            figures[f'{name}_things'] = rates[name][thing]
            figures[f'{name}_stuff'] = rates[name][~thing]
        return {name: _mean(values) for name, values in figures.items()}

    def _count(self, truth: dict, prediction: dict) -> dict[str, np.ndarray]:
        for name, mask in (('pred_pts_seg', prediction), ('eval_ann_info', truth)):
            if not {'pts_semantic_mask', 'pts_instance_mask'} <= set(mask):
                raise ValueError(
                    f'PanopticMetric: {name}: expected pts_semantic_mask and pts_instance_mask, '
                    f'found {sorted(mask)}; the model has to be a PanopticMinkUNet, and the test '
                    'pipeline needs LoadPanopticLabels.')
        classes = list(self.dataset_meta['classes'])
        ignored = self.dataset_meta['ignore_index']
        # The ignored index needs a row of its own in mmdet3d's confusion matrix.
        names = classes + [''] * (ignored + 1 - len(classes))
        counter = EvalPanoptic(names, [], [], self.min_num_points, self.id_offset, {}, [ignored])
        semantic = [np.asarray(mask['pts_semantic_mask']).astype(np.int64)
                    for mask in (prediction, truth)]
        instance = [self._segments(labels, mask['pts_instance_mask'])
                    for labels, mask in zip(semantic, (prediction, truth))]
        counter.add_semantic_sample(*semantic)
        counter.add_panoptic_sample(*semantic, *instance)
        return {name: getattr(counter, name) for name in COUNTS}

    def _segments(self, semantic: np.ndarray, instance: np.ndarray) -> np.ndarray:
        """Return (N,) instances numbered from 0 without gaps; all stuff is 0."""
        thing = np.isin(semantic, self.thing_class_inds)
        instance = np.unique(np.asarray(instance), return_inverse=True)[1]
        return np.where(thing, instance, 0)


def class_rates(counts: dict[str, np.ndarray], ignored: int,
                num_classes: int) -> dict[str, np.ndarray]:
    """Return ``pq``, ``sq``, ``rq`` and ``iou`` (C,) of the classes; NaN where there is nothing.

    Args:
        counts: ``pan_tp``, ``pan_fp``, ``pan_fn``, ``pan_iou`` (K,) and ``confusion_matrix``
            (K, K), predicted class by true class, as mmdet3d counts.
        ignored: Index of points without a label, which do not count.
        num_classes: Number of classes C.
    """
    hits, false, missed = (counts[f'pan_{name}'].astype(np.float64) for name in ('tp', 'fp', 'fn'))
    confusion = counts['confusion_matrix'].astype(np.float64)
    confusion[:, ignored] = 0
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - confusion.diagonal()
    with np.errstate(invalid='ignore'):
        segments = hits + (false + missed) / 2
        pq = counts['pan_iou'] / segments
        rq = hits / segments
        # A class whose segments are all unmatched has SQ 0, as in mmdet3d.
        sq = np.where(segments > 0, counts['pan_iou'] / np.maximum(hits, 1), np.nan)
        iou = confusion.diagonal() / union
    return {name: rate[:num_classes] for name, rate in dict(pq=pq, sq=sq, rq=rq, iou=iou).items()}


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float('nan')


def _table(classes: Sequence[str], thing: np.ndarray, rates: dict[str, np.ndarray]) -> str:
    lines = [f'{"class":<22}{"PQ":>8}{"SQ":>8}{"RQ":>8}{"IoU":>8}']
    for index, name in enumerate(classes):
        values = ''.join(f'{rates[rate][index]:>8.3f}' for rate in ('pq', 'sq', 'rq', 'iou'))
        lines.append(f'{name + (" (thing)" if thing[index] else ""):<22}{values}')
    return '\n'.join(lines)
