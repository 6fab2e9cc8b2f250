"""Checks of checkpoints and labels before a run, and a report of broken frames."""
from __future__ import annotations

import time
from typing import Any

from mmengine.dist import all_gather_object, get_dist_info
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...checkpoints.loading import check_state_dict
from ...datasets.segmentation import check_labels
from ...errors import CheckpointMismatchError, DataLayoutError
from ...utils.dataset_wrappers import innermost_datasets
from ..runner import unwrapped_model

INFO_KEY = 'broken_frames'


@HOOKS.register_module()
class CheckpointGuardHook(Hook):
    """Refuse a checkpoint of another model.

    mmengine loads checkpoints leniently: it ignores missing tensors and tensors of another shape,
    even if none matches. This hook raises if too few match.

    Args:
        min_match: Smallest share, 0 to 1, of the model's parameters and buffers that the checkpoint
            must have with the same name and shape. ``num_batches_tracked`` does not count.
        prefix: Prefix of the required tensors, e.g. ``'backbone.'`` if the rest may be new.

    Raises:
        CheckpointMismatchError: If too few tensors match; the message lists the first ones that are
            missing, of another shape, or unexpected.
    """

    def __init__(self, min_match: float = 1., prefix: str = '') -> None:
        if not 0 <= min_match <= 1:
            raise ValueError(f'min_match: expected a share, 0 to 1, found {min_match}')
        self.min_match = min_match
        self.prefix = prefix

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Compare before mmengine copies tensors."""
        if runner._resume and 'meta' not in checkpoint:
            raise CheckpointMismatchError(
                '--resume: expected a checkpoint of a training, with optimizer and iteration, '
                'found only weights; start from them: --cfg-options load_from=CHECKPOINT, without '
                '--resume')
        model = unwrapped_model(runner)
        check_state_dict(model, checkpoint.get('state_dict', checkpoint), self.min_match,
                         self.prefix)


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
            raise DataLayoutError(f"'{dataset.ann_file}': expected frames, found none; write "
                                  'the label fraction again by tools/create_infos.py.')
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


@HOOKS.register_module()
class BrokenFrameHook(Hook):
    """Report the frames that the data set skipped (``skip_broken=True``).

    Each frame is logged once, with the reason, and all are listed at the end. Checkpoints contain
    the list (of the first process, in distributed training).
    """

    def before_train(self, runner: Any) -> None:
        """Start with the list of a resumed checkpoint."""
        self.frames: dict[str, str] = runner.message_hub.get_info(INFO_KEY, {})
        runner.message_hub.update_info(INFO_KEY, self.frames)

    def before_test(self, runner: Any) -> None:
        """Start an empty list."""
        self.frames = {}

    def before_val(self, runner: Any) -> None:
        """Start an empty list, unless validation is a part of training."""
        if not hasattr(self, 'frames'):
            self.frames = {}

    def _after_iter(self,
                    runner: Any,
                    batch_idx: int,
                    data_batch: Any = None,
                    outputs: Any | None = None,
                    mode: str = 'train') -> None:
        for sample in data_batch['data_samples']:
            for frame_id, reason in sample.get('skipped_frames', []):
                if frame_id not in self.frames:
                    self.frames[frame_id] = reason
                    runner.logger.warning(f'Broken frame {frame_id} skipped: {reason}')

    def after_train(self, runner: Any) -> None:
        """List all broken frames."""
        frames: dict[str, str] = {}
        for of_process in all_gather_object(self.frames):
            frames.update(of_process)
        if not frames:
            runner.logger.info('There were no broken frames.')
            return
        lines = ''.join(f'\n  {frame_id}: {frames[frame_id]}' for frame_id in sorted(frames))
        runner.logger.warning(f'{len(frames)} broken frames were skipped:{lines}')

    after_test = after_train
