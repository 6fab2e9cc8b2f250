"""Check of label files before training and testing."""
from __future__ import annotations

import time
from typing import Any

from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...datasets.segmentation import check_labels
from ...errors import DataLayoutError
from ...utils.dataset_wrappers import innermost_datasets


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Check the label files of mmdet3d's segmentation data sets before training and testing.

    For each frame, the label file must fit the scan, and the label map must contain each label; see
    :func:`~nclr_plugin.datasets.segmentation.check_labels`. Every label file is read once, and
    processes share the files. Data sets inside wrappers (RepeatDataset, ConcatDataset, ...) are
    checked, too; those whose pipeline loads no labels are skipped.

    Raises:
        DataLayoutError: If a data set is empty, or a label file does not fit.
    """

    def before_train(self, runner: Any) -> None:
        """Check the training and the validation set."""
        self._check_all(runner, runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            self._check_all(runner, runner.val_dataloader.dataset)

    def before_test(self, runner: Any) -> None:
        """Check the test set."""
        self._check_all(runner, runner.test_dataloader.dataset)

    def _check_all(self, runner: Any, dataset: Any) -> None:
        for each in innermost_datasets(dataset):
            self._check(runner, each)

    def _check(self, runner: Any, dataset: Any) -> None:
        if len(dataset) == 0:
            raise DataLayoutError(f"'{dataset.ann_file}': expected frames, found none; the label "
                                  'fraction selects nothing, write it by tools/create_infos.py.')
        transforms = {type(transform).__name__: transform
                      for transform in dataset.pipeline.transforms}
        labels = transforms.get('LoadAnnotations3D') or transforms.get('LoadPanopticLabels')
        if labels is None or not labels.with_seg_3d:
            return
        label_map = dataset.metainfo.get('seg_label_mapping')
        rank, world_size = get_dist_info()
        start = time.time()
        infos = map(dataset.get_data_info, range(rank, len(dataset), world_size))
        checked = check_labels(
            ((info['lidar_path'], info['pts_semantic_mask_path']) for info in infos),
            lidar_dim=transforms['LoadPointsFromFile'].load_dim,
            dtype=labels.seg_3d_dtype,
            # Maps of other types than dict are tables, whose indices need not be labels.
            known=list(label_map) if isinstance(label_map, dict) else None,
            offset=labels.seg_offset)
        runner.logger.info(f'Labels of {checked} frames fit their scans and the map '
                           f'({time.time() - start:.1f} s).')
