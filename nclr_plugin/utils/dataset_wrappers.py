"""Data sets inside the wrappers of mmengine and mmdet3d.

``RepeatDataset``, ``ClassBalancedDataset`` and ``CBGSDataset`` hold one, ``dataset``;
``ConcatDataset`` holds several, ``datasets``; and each may hold another wrapper.
"""
from __future__ import annotations

from typing import Any


def innermost_datasets(dataset: Any) -> list[Any]:
    """Return the data sets inside wrappers, in their order.

    Args:
        dataset: Data set, wrapped or not.
    """
    inside = getattr(dataset, 'datasets', None)
    if inside is None:
        inside = [dataset.dataset] if hasattr(dataset, 'dataset') else []
    return [inner for each in inside for inner in innermost_datasets(each)] or [dataset]


def innermost_configs(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the configs of the data sets inside wrappers, in their order.

    Args:
        config: Config of a data set, wrapped or not; the results are parts of it, not copies.
    """
    inside = config.get('datasets') or ([config['dataset']] if config.get('dataset') else [])
    return [inner for each in inside for inner in innermost_configs(each)] or [config]
