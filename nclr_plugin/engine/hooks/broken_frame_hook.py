"""Report of broken frames."""
from __future__ import annotations

from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

INFO_KEY = 'broken_frames'


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
        self._summarise(runner)

    def after_test(self, runner: Any) -> None:
        """List all broken frames."""
        self._summarise(runner)

    def _summarise(self, runner: Any) -> None:
        frames: dict[str, str] = {}
        for of_process in all_gather_object(self.frames):
            frames.update(of_process)
        if not frames:
            runner.logger.info('There were no broken frames.')
            return
        lines = ''.join(f'\n  {frame_id}: {frames[frame_id]}' for frame_id in sorted(frames))
        runner.logger.warning(f'{len(frames)} broken frames were skipped:{lines}')
