"""Overrides of fine-tuning configs: label fraction, pretrained weights, submission.

Each function returns values by dotted key, for ``Config.merge_from_dict``. mmdet3d's own scripts
take the same keys by ``--cfg-options``.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Iterator

from mmengine.config import Config

from ..errors import ConfigError

INFO_FILES = ('ann_file', 'info_path')  # of a data set, and of the objects to paste


def fraction_options(config: Config, percent: float) -> dict[str, Any]:
    """Return the overrides that train on a fraction of the labels.

    The fraction is appended to the names of the info files of the training set and of the objects
    to paste: ``infos_train.pkl`` becomes ``infos_train_10.pkl``, which ``tools/create_infos.py``
    and ``tools/split_detection_infos.py`` write. ``fraction_epochs`` of the config, if present,
    determines the number of epochs.

    Args:
        config: Fine-tuning config.
        percent: Percentage of the labels; 100: info files without a number.

    Raises:
        ConfigError: If the percentage is out of range, or the training set has no info file.
    """
    if not 0 < percent <= 100:
        raise ConfigError('label fraction: expected percent above 0 and up to 100, found '
                          f'{percent:g}')
    suffix = '' if percent == 100 else f'_{percent:g}'
    options = {
        f'{path}.{key}': re.sub(r'(_[\d.]+)?\.pkl$', f'{suffix}.pkl', node[key])
        for path, node in _dicts(config.train_dataloader.dataset, 'train_dataloader.dataset')
        for key in INFO_FILES if isinstance(node.get(key), str)
    }
    if not options:
        raise ConfigError(
            f'{config.filename}: a label fraction needs a training set with an info file '
            '(ann_file), found none; configs/semseg, panoptic and detection have one')
    if config.get('fraction_epochs'):
        epochs = next(epochs for most, epochs in config.fraction_epochs if percent <= most)
        options['train_cfg.max_epochs'] = epochs
        options['train_cfg.val_interval'] = max(1, epochs // 10)
    return options


def checkpoint_options(config: Config, checkpoint: str) -> dict[str, Any]:
    """Return the overrides that start from pretrained weights.

    Args:
        config: Config whose model has an ``init_cfg`` of type ``NCLRPretrained``.
        checkpoint: File or URL of the weights.

    Raises:
        ConfigError: If the model has no such ``init_cfg``.
    """
    options = {f'{path}.checkpoint': checkpoint for path, node in _dicts(config.model, 'model')
               if node.get('type') == 'NCLRPretrained'}
    if not options:
        raise ConfigError(
            f'{config.filename}: pretrained weights need a model with '
            "init_cfg=dict(type='NCLRPretrained'), found none; configs/semseg, panoptic and "
            'detection have one')
    return options


def submission_options(config: Config, folder: str) -> dict[str, Any]:
    """Return the overrides that predict the hidden test set of a benchmark.

    Args:
        config: Config with a ``submission``: ``dataset``, which is merged into the test set, and
            ``evaluator``, which replaces the test evaluator.
        folder: Folder for the files in the format of the benchmark's server.

    Raises:
        ConfigError: If the config has no ``submission``.
    """
    submission = config.get('submission')
    if not submission:
        raise ConfigError(
            f"{config.filename}: expected a config with a 'submission' (--submission), such as "
            'configs/semseg/minkunet34_semantickitti.py or configs/detection/second_kitti.py, '
            'found none')
    evaluator = dict(submission.evaluator, out_dir=str(Path(folder).absolute()), _delete_=True)
    options = {f'test_dataloader.dataset.{key}': value
               for key, value in submission.dataset.items()}
    return {**options, 'test_evaluator': evaluator}


def _dicts(node: Any, path: str) -> Iterator[tuple[str, dict]]:
    """Yield every dict below a node of a config, with its dotted key."""
    if isinstance(node, dict):
        yield path, node
        items = node.items()
    elif isinstance(node, (list, tuple)):
        items = enumerate(node)
    else:
        return
    for key, value in items:
        yield from _dicts(value, f'{path}.{key}')
