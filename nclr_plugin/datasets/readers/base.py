"""Base class of readers, and several readers as one."""
from __future__ import annotations

import os
from abc import ABCMeta, abstractmethod
from typing import Sequence

from mmengine.registry import TASK_UTILS


class Reader(metaclass=ABCMeta):
    """Lists the frames of one on-disk layout, with checked calibration."""

    @abstractmethod
    def read(self, data_root: str, keep_unpaired: bool = False) -> list[dict]:
        """List the frames.

        Args:
            data_root: Root folder of the data.
            keep_unpaired: Warn about frames that miss a file or have an invalid calibration, and
                list them, instead of raising.

        Returns:
            One dict per frame, see :class:`~nclr_plugin.datasets.CalibrationDataset`.

        Raises:
            FileNotFoundError: If a folder, a list or info file, or a file of a frame is absent.
            ValueError: If a list or info file, or a calibration is invalid.
        """


@TASK_UTILS.register_module()
class ConcatReader(Reader):
    """Concatenates the frames of several readers.

    Unlike mmengine's ``ConcatDataset`` this keeps one list of frames, which the sampler and the
    mismatched-image control need.

    Args:
        parts: Dicts of ``data_root`` and ``reader``, a config. Relative roots are below the
            ``data_root`` of the data set.
    """

    def __init__(self, parts: Sequence[dict]) -> None:
        self.parts = [(part['data_root'], TASK_UTILS.build(part['reader'])) for part in parts]

    def read(self, data_root: str, keep_unpaired: bool = False) -> list[dict]:
        """List the frames of all parts; see :class:`Reader`."""
        return [frame for root, reader in self.parts
                for frame in reader.read(os.path.join(data_root, root), keep_unpaired)]
