"""The error of unusable input."""
from __future__ import annotations


class CalibrationInputError(ValueError):
    """An image, a scan or intrinsics that cannot be calibrated.

    The message says what was expected, what was found and what to do.
    """
