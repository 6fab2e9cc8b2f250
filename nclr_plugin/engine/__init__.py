"""Training and testing by mmengine's Runner: loop, hooks, optimizer wrapper, launcher."""
from ..utils.devices import follow_devices
from .hooks import *  # noqa: F401,F403
from .hooks import __all__ as _hooks
from .runner import Bfloat16OptimWrapper, ResumableIterLoop

follow_devices()  # here, so that it holds in every tool

__all__ = ['Bfloat16OptimWrapper', 'ResumableIterLoop'] + _hooks
