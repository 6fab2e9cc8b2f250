"""OpenCV, asked for when it is used."""
from __future__ import annotations


def import_cv2():
    """Import OpenCV.

    Returns:
        The module ``cv2``.

    Raises:
        ImportError: With what to install.
    """
    try:
        import cv2
    except ImportError as error:
        raise ImportError('Reading images needs OpenCV: pip install opencv-python-headless'
                          ) from error
    return cv2
