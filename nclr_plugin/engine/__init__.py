"""Training and testing by mmengine's Runner: loop, hooks, optimizer wrapper, launcher."""
from ..utils.compat import allow_mmengine_checkpoints
from ..utils.sparse import follow_devices
from .hooks import *  # noqa: F401,F403
from .hooks import __all__ as _hooks
from .runner import Bfloat16OptimWrapper, ResumableIterLoop

# Here, so that it holds whichever tool imported the plugin.
allow_mmengine_checkpoints()
follow_devices()

__all__ = ['Bfloat16OptimWrapper', 'ResumableIterLoop'] + _hooks
