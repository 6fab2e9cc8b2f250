"""Calibration data sets: readers, transforms, sampler."""
from .calibration_dataset import CalibrationDataset
from .errors import BrokenFrameError
from .readers import *  # noqa: F401,F403
from .readers import __all__ as _readers
from .samplers import SeededInfiniteSampler
from .transforms import *  # noqa: F401,F403
from .transforms import __all__ as _transforms

__all__ = ['BrokenFrameError', 'CalibrationDataset', 'SeededInfiniteSampler'
           ] + _readers + _transforms
