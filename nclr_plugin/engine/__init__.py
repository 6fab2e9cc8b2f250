"""Training and testing by mmengine's Runner: loop, hooks, optimizer wrapper, launcher.

- ``launcher``, ``finetuning``: mmdet3d's training and test scripts, with additional options.
- ``runner``: the training loop, and mixed precision on the CPU.
- ``hooks``: checks, schedules, seeds, probes and pictures.
"""
from ..utils.devices import follow_devices
from .hooks import *  # noqa: F401,F403
from .hooks import __all__ as _hooks
from .runner import Bfloat16OptimWrapper, ResumableIterLoop

follow_devices()  # here, so that it holds in every tool

__all__ = ['Bfloat16OptimWrapper', 'ResumableIterLoop'] + _hooks
