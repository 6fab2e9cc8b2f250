"""Training and testing by mmengine's Runner: loop, hooks, optimizer wrapper, launcher."""
from ..utils.compat import allow_mmengine_checkpoints
from .checkpoint_loading import BrokenCheckpointError
from .gradnorm import GradNorm
from .hooks import *  # noqa: F401,F403
from .hooks import __all__ as _hooks
from .loops import ResumableIterLoop
from .optim_wrapper import Bfloat16OptimWrapper

# Here, so that a checkpoint loads whichever tool imported the plugin.
allow_mmengine_checkpoints()

__all__ = ['Bfloat16OptimWrapper', 'BrokenCheckpointError', 'GradNorm',
           'ResumableIterLoop'] + _hooks
