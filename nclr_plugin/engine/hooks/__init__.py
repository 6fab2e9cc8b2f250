"""Hooks of mmengine's Runner."""
from .check_hooks import BrokenFrameHook, CheckpointGuardHook, LabelCheckHook
from .non_finite_hook import NonFiniteHook
from .picture_hook import PictureHook
from .probe_hook import ProbeHook
from .runtime_hooks import IterationSeedHook
from .schedule_hooks import PoseLossScheduleHook, ScheduleEndHook

__all__ = [
    'BrokenFrameHook', 'CheckpointGuardHook', 'IterationSeedHook', 'LabelCheckHook',
    'NonFiniteHook', 'PictureHook', 'PoseLossScheduleHook', 'ProbeHook', 'ScheduleEndHook'
]
