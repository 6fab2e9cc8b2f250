"""Errors of frames and data sets."""
from ..errors import BrokenFrameError, DataLayoutError

__all__ = ['BrokenFrameError', 'DataLayoutError']
