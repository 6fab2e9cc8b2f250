"""Infinite sampler that can resume at any sample."""
from __future__ import annotations

from typing import Iterator, Sized

import numpy as np
from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from ..errors import DataLayoutError
from ..utils.dataset_wrappers import innermost_datasets


@DATA_SAMPLERS.register_module()
class SeededInfiniteSampler(Sampler):
    """Sample passes over a data set without end; a pure function of the seed.

    The global sequence concatenates permutations of the frames; position ``g`` belongs to pass
    ``g // len(dataset)``. The sampler yields ``epoch * len(dataset) + i``, from which
    :class:`CalibrationDataset` derives the randomness of that pass. Processes of a distributed run
    take turns; together they get the same samples as one process with the whole batch.

    Args:
        dataset: Data set without wrappers of mmengine.
        shuffle: Permute each pass anew.
        seed: Seed of the permutations; ``None`` means 0.

    Raises:
        ValueError: If the data set is empty.
        DataLayoutError: If it is wrapped, e.g. by ``ConcatDataset``.
    """

    def __init__(self,
                 dataset: Sized,
                 shuffle: bool = True,
                 seed: int | None = 0) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        if self.size == 0:
            raise ValueError('SeededInfiniteSampler: the data set has no sample.')
        if innermost_datasets(dataset) != [dataset]:
            raise DataLayoutError(
                f'SeededInfiniteSampler: expected a data set itself, found {type(dataset).__name__}'
                ' around it, which has the indices of one pass only: join several by '
                "CalibrationDataset's reader=dict(type='ConcatReader', parts=[...]); passes never "
                'end, so that none needs to be repeated.')
        self.shuffle = shuffle
        self.seed = 0 if seed is None else seed
        self.start = 0

    def set_start(self, num_samples: int) -> None:
        """Start the next iteration after ``num_samples`` samples of all processes.

        Args:
            num_samples: Number of finished iterations x batch size x number of processes.

        Raises:
            ValueError: If the number is negative.
        """
        if num_samples < 0:
            raise ValueError(f'start: expected a number of samples >= 0, found {num_samples}.')
        self.start = num_samples

    def __iter__(self) -> Iterator[int]:
        position = self.start + self.rank
        while True:
            epoch = position // self.size
            order = self._order(epoch)
            while position // self.size == epoch:
                yield epoch * self.size + int(order[position % self.size])
                position += self.world_size

    def __len__(self) -> int:
        """Return the number of samples of one pass over the data set."""
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the position in the sequence determines the epoch."""

    def _order(self, epoch: int) -> np.ndarray:
        """Return the frame indices of a pass, in order."""
        if not self.shuffle:
            return np.arange(self.size)
        return np.random.default_rng((self.seed, epoch)).permutation(self.size)
