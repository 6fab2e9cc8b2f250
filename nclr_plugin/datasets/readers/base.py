"""Several data sets as one."""
from __future__ import annotations

import os
from typing import List, Sequence

from mmengine.registry import TASK_UTILS


@TASK_UTILS.register_module()
class ConcatReader:
    """The frames of several readers, one after another.

    Args:
        parts: ``dict(data_root=..., reader=dict(type=..., ...))`` each; a relative root is below
            the ``data_root`` of the data set.
    """

    def __init__(self, parts: Sequence[dict]) -> None:
        self.parts = [(part['data_root'], TASK_UTILS.build(part['reader'])) for part in parts]

    def read(self, data_root: str, keep_unpaired: bool = False) -> List[dict]:
        """List the frames; see the readers.

        Args:
            data_root: Below which relative roots of the parts lie.
            keep_unpaired: See :func:`pair_files`.

        Returns:
            Frames as :class:`CalibrationDataset` keeps them.

        Raises:
            FileNotFoundError, ValueError: By a reader.
        """
        return [frame for root, reader in self.parts
                for frame in reader.read(os.path.join(data_root, root), keep_unpaired)]
