"""Intrinsics of a camera, read from a file and checked against an image."""
from __future__ import annotations

from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from ..datasets.readers.calibration import check_cam2img
from ..utils.optional import optional_import
from .errors import CalibrationInputError

KEYS = ('cam2img', 'dist_coeffs', 'image_size')
# Share of an image, if it is not known which one the intrinsics belong to, in which their principal
# point has to lie: those of one half or twice as large are outside.
CENTRAL = 0.3, 0.7


class Intrinsics(NamedTuple):
    """A pinhole camera.

    Attributes:
        cam2img: (3, 3) float64.
        dist_coeffs: (4), (5) or (8 ...) coefficients in OpenCV's order; ``None``: no distortion.
        image_size: (width, height) that ``cam2img`` belongs to; ``None``: not known.
    """
    cam2img: np.ndarray
    dist_coeffs: Optional[np.ndarray] = None
    image_size: Optional[Tuple[int, int]] = None

    def undistort(self, image: np.ndarray) -> np.ndarray:
        """The image of a camera with the same ``cam2img`` and no distortion, (H, W, 3) uint8."""
        if self.dist_coeffs is None or not self.dist_coeffs.any():
            return image
        cv2 = optional_import('cv2', 'opencv-python-headless', 'Undistorting images')
        return cv2.undistort(image, self.cam2img, self.dist_coeffs)


def make_intrinsics(cam2img: Any, dist_coeffs: Any = None, image_size: Any = None,
                    where: str = 'cam2img') -> Intrinsics:
    """Intrinsics from arrays or lists.

    Raises:
        CalibrationInputError: If one of them is none.
    """
    if cam2img is None:
        raise CalibrationInputError(
            f'{where}: expected the intrinsics [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] of the '
            'camera, found none; calibrate it by a checkerboard (OpenCV, camera_calibration of '
            'ROS) first.')
    try:
        matrix = check_cam2img(cam2img, where)
    except ValueError as error:
        raise CalibrationInputError(str(error)) from error
    try:
        coefficients = None if dist_coeffs is None else np.array(dist_coeffs, np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise CalibrationInputError(
            f'{where}: expected numbers in dist_coeffs, found {dist_coeffs!r}.') from error
    if coefficients is not None and (len(coefficients) not in (4, 5, 8, 12, 14)
                                     or not np.isfinite(coefficients).all()):
        raise CalibrationInputError(
            f'{where}: expected 4, 5, 8, 12 or 14 finite dist_coeffs (k1, k2, p1, p2, k3, ... of '
            f'OpenCV), found {coefficients.tolist()}.')
    if image_size is not None:
        size = tuple(np.ravel(image_size).tolist())
        if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
            raise CalibrationInputError(
                f'{where}: expected image_size [width, height] in pixels, found {image_size!r}.')
        image_size = size
    return Intrinsics(matrix, coefficients, image_size)


def read_intrinsics(path: str) -> Intrinsics:
    """Intrinsics of a YAML file.

    ``cam2img: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`` and, where known, ``dist_coeffs: [k1, k2,
    p1, p2, k3]`` (OpenCV's order) and ``image_size: [width, height]``.

    Raises:
        CalibrationInputError: If there is no such file, or it holds something else.
    """
    import yaml  # comes with mmengine

    try:
        with open(path, encoding='utf-8') as stream:
            content = yaml.safe_load(stream)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CalibrationInputError(f"intrinsics '{path}': expected a YAML file with cam2img: "
                                    f'[[fx, 0, cx], [0, fy, cy], [0, 0, 1]], found: {error}') \
            from error
    if not isinstance(content, dict) or 'cam2img' not in content or set(content) - set(KEYS):
        found = sorted(map(str, content)) if isinstance(content, dict) else repr(content)
        raise CalibrationInputError(f"intrinsics '{path}': expected cam2img: [[fx, 0, cx], [0, fy, "
                                    f'cy], [0, 0, 1]] and perhaps {", ".join(KEYS[1:])}, found '
                                    f'{found}.')
    return make_intrinsics(**content, where=f"intrinsics '{path}'")


def check_image(image: np.ndarray, intrinsics: Intrinsics, name: str = 'image') -> None:
    """Check that an image is one and that the intrinsics are of its size.

    Raises:
        CalibrationInputError: If not.
    """
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 \
            or image.dtype != np.uint8:
        found = (f'{image.dtype} of shape {image.shape}' if isinstance(image, np.ndarray)
                 else type(image).__name__)
        raise CalibrationInputError(
            f'{name}: expected RGB of shape (H, W, 3) uint8, found {found}.')
    height, width = image.shape[:2]
    if intrinsics.image_size is not None and intrinsics.image_size != (width, height):
        raise CalibrationInputError(
            f'{name}: expected {intrinsics.image_size[0]} x {intrinsics.image_size[1]} pixels '
            f'(image_size of the intrinsics), found {width} x {height}; intrinsics hold for one '
            'size: scale them, or take the original image.')
    centre = intrinsics.cam2img[:2, 2] / (width, height)
    if intrinsics.image_size is None and not ((centre > CENTRAL[0]) & (centre < CENTRAL[1])).all():
        raise CalibrationInputError(
            f'{name}: it has {width} x {height} pixels, but the intrinsics have their principal '
            f'point at ({intrinsics.cam2img[0, 2]:.1f}, {intrinsics.cam2img[1, 2]:.1f}): expected '
            'it near the centre; they belong to an image of another size (or else state '
            'image_size).')
