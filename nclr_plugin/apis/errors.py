"""The error of unusable input."""
from ..errors import CalibrationInputError

__all__ = ['CalibrationInputError']
