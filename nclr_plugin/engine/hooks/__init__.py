"""Hooks of mmengine's Runner."""
from .broken_frame_hook import BrokenFrameHook
from .checkpoint_guard_hook import CheckpointGuardHook
from .iteration_seed_hook import IterationSeedHook
from .label_check_hook import LabelCheckHook
from .non_finite_hook import NonFiniteHook
from .picture_hook import PictureHook
from .pose_loss_schedule_hook import PoseLossScheduleHook
from .probe_hook import ProbeHook
from .schedule_end_hook import ScheduleEndHook
from .sparse_algo_hook import SparseAlgoHook

__all__ = [
    'BrokenFrameHook', 'CheckpointGuardHook', 'IterationSeedHook',
    'LabelCheckHook', 'NonFiniteHook', 'PictureHook',
    'PoseLossScheduleHook', 'ProbeHook', 'ScheduleEndHook', 'SparseAlgoHook'
]
