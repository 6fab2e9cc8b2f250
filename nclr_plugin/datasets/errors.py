"""Errors of frames and data sets."""
from ..errors import BrokenFrameError, DataLayoutError, ScanColumnsError, ScanError

__all__ = ['BrokenFrameError', 'DataLayoutError', 'ScanColumnsError', 'ScanError']
