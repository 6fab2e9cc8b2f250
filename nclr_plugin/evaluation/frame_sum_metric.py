"""Base of the metrics that need no more of a frame than a few sums."""
from __future__ import annotations

from abc import abstractmethod
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from nclr_plugin.structures import inspection

Sums = Dict[str, Dict[str, Any]]


class FrameSumMetric(BaseMetric):
    """Figures that follow from sums over frames.

    A subclass says in :meth:`sums` what a frame adds, and in :meth:`figures` what follows from the
    total. Frames of the wrong-image control add nothing. A quantity that no frame has is left out
    of the figures, which the log says.

    Attributes:
        quantities: Names of what is summed, a quantity each.
        needs: For the log: what a model must have for all of them.
    """

    quantities: Tuple[str, ...] = ()
    needs = ''

    @abstractmethod
    def sums(self, sample: dict) -> Sums:
        """What a frame adds: for each quantity that it has, numbers or arrays by name."""

    @abstractmethod
    def figures(self, totals: Sums) -> Dict[str, float]:
        """Figures by name, from the sums over all frames of the quantities that there are."""

    @abstractmethod
    def table(self, metrics: Dict[str, float]) -> str:
        """The figures as text."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the sums of each frame of a batch.

        Args:
            data_batch: Not used.
            data_samples: :class:`~nclr_plugin.structures.CalibrationDataSample` as dicts.
        """
        for sample in data_samples:
            control = bool(sample.get('wrong_image', False))
            # One record a frame, also of one that adds nothing: that is how distributed collection
            # drops padded frames.
            self.results.append(
                dict(wrong_image=control, sums={} if control else self.sums(inspection(sample))))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Figures over all frames with their own images, and a table of them in the log.

        Args:
            results: What :meth:`process` kept, of all processes.

        Returns:
            Figures by name.

        Raises:
            ValueError: When there is no such frame.
        """
        name = type(self).__name__
        frames = [result['sums'] for result in results if not result['wrong_image']]
        if not frames:
            raise ValueError(
                f'{name}: expected predictions for frames with their own images, found '
                f'{len(results)} frames, all of them with wrong_image set; is the test set empty?'
                if results else f'{name}: no frame to evaluate; is the test set empty?')
        totals = {quantity: _total([frame[quantity] for frame in frames if quantity in frame])
                  for quantity in self.quantities if any(quantity in frame for frame in frames)}
        missing = [quantity for quantity in self.quantities if quantity not in totals]
        if missing:
            print_log(f'{name}: no predictions of {", ".join(missing)}, whose figures are left '
                      f'out; they need {self.needs}.', logger='current')
        if not totals:
            return {}
        metrics = self.figures(totals)
        print_log(self.table(metrics), logger='current')
        return metrics


def _total(parts: List[Dict[str, Any]]) -> Dict[str, Any]:
    return {name: np.sum([part[name] for part in parts], axis=0, dtype=np.float64)
            for name in parts[0]}
