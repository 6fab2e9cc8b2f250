"""Read camera intrinsics from arrays and files, and check them against an image."""
from __future__ import annotations

import re
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml

from ..datasets.images import check_image_size
from ..datasets.readers.calibration import check_cam2img
from ..errors import CalibrationInputError, describe_error

# Range of the principal point relative to the image size, if no image_size is given. It excludes
# intrinsics of an image of half or twice the size.
CENTRAL = 0.3, 0.7
# Model names of OpenCV, ROS and Kalibr, mapped to the models of OpenCV.
MODELS = dict(pinhole='pinhole', plumb_bob='pinhole', radtan='pinhole',
              rational_polynomial='pinhole', fisheye='fisheye', equidistant='fisheye',
              kannala_brandt='fisheye')
NUM_COEFFICIENTS = dict(pinhole=(4, 5, 8, 12, 14), fisheye=(4, ))
# Keys of files, in lower case and without underscores: our own, and those of OpenCV's calibration
# samples, of ROS' camera_info files and of its messages.
KEYS = dict(
    cam2img=('cam2img', 'cameramatrix', 'intrinsicmatrix', 'k'),
    dist_coeffs=('distcoeffs', 'distortioncoefficients', 'distortioncoeffs', 'd'),
    image_size=('imagesize', ),
    width=('imagewidth', 'width'),
    height=('imageheight', 'height'),
    model=('distortionmodel', 'model'),
    fisheye=('fisheyemodel', ))
EXPECTED = ('cam2img: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] and perhaps dist_coeffs, '
            'distortion_model, image_size, or a file of OpenCV (camera_matrix, '
            'distortion_coefficients) or of ROS (camera_info)')


class Intrinsics(NamedTuple):
    """Camera matrix and lens distortion.

    Attributes:
        cam2img: (3, 3) float64.
        dist_coeffs: Coefficients in OpenCV's order, (4), (5), (8), (12) or (14) for a pinhole
            camera (k1, k2, p1, p2, k3, ...), (4) for a fisheye (k1, k2, k3, k4); ``None`` if there
            is no distortion.
        image_size: (width, height) of the image that ``cam2img`` belongs to; ``None`` if unknown.
        model: ``'pinhole'`` or ``'fisheye'`` (equidistant, ``cv2.fisheye``). ``None`` means a
            pinhole camera whose number of coefficients allows no other model.
    """
    cam2img: np.ndarray
    dist_coeffs: np.ndarray | None = None
    image_size: tuple[int, int] | None = None
    model: str | None = None

    def undistort(self, image: np.ndarray) -> np.ndarray:
        """Return the image (H, W, 3) uint8 of a pinhole camera with the same ``cam2img``."""
        if self.model != 'fisheye' and (self.dist_coeffs is None or not self.dist_coeffs.any()):
            return image
        if self.model == 'fisheye':
            return cv2.fisheye.undistortImage(image, self.cam2img, self.dist_coeffs,
                                              Knew=self.cam2img)
        return cv2.undistort(image, self.cam2img, self.dist_coeffs)


def read_intrinsics(path: str) -> Intrinsics:
    """Read intrinsics from a YAML or XML file.

    The file has one of these formats:

    - ``cam2img: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`` and, if known, ``dist_coeffs: [k1, k2,
      p1, p2, k3]`` (OpenCV's order), ``distortion_model`` (needed for a fisheye camera, and
      beside four coefficients) and ``image_size: [width, height]``;
    - YAML or XML of OpenCV's ``FileStorage``: ``camera_matrix``, ``distortion_coefficients``,
      ``image_width``, ``image_height``;
    - output of ROS' camera_calibration, or a ``camera_info`` message: ``K`` and ``D`` of the raw
      image, not of a rectified one.

    Raises:
        CalibrationInputError: If the file does not exist or has another format.
    """
    where = f"intrinsics '{path}'"
    content = _read_content(path, where)
    found: dict[str, Any] = {}
    unknown = []
    for key, value in content.items():
        plain = re.sub('[_ -]', '', str(key).lower())
        name = next((name for name, names in KEYS.items() if plain in names), None)
        if name is None:
            unknown.append(str(key))
        elif name in found:
            raise CalibrationInputError(f'{where}: expected one {name}, found {key} beside '
                                        'another name of it; remove one.')
        else:
            found[name] = _matrix(value)
    # Files of OpenCV and ROS have many other keys, but distortion must not be ignored.
    surplus = [key for key in unknown
               if 'cam2img' in content or re.search('dist|coef', key, re.IGNORECASE)]
    if 'cam2img' not in found or surplus:
        raise CalibrationInputError(
            f'{where}: expected {EXPECTED}, found {sorted(map(str, content))}.')
    if 'width' in found and 'height' in found:
        found.setdefault('image_size', [found['width'], found['height']])
    if 'fisheye' in found:
        found.setdefault('model', 'fisheye' if found['fisheye'] else 'pinhole')
    cam2img = found['cam2img']
    if np.size(cam2img) == 9 and not isinstance(cam2img, str):
        cam2img = np.reshape(cam2img, (3, 3)).tolist()
    return make_intrinsics(cam2img, found.get('dist_coeffs'), found.get('image_size'),
                           found.get('model') or None, where)


def make_intrinsics(cam2img: Any, dist_coeffs: Any = None, image_size: Any = None,
                    model: str | None = None, where: str = 'cam2img') -> Intrinsics:
    """Check intrinsics given as arrays or lists.

    Args:
        cam2img: (3, 3), or its 9 numbers.
        dist_coeffs: See :class:`Intrinsics`.
        image_size: See :class:`Intrinsics`.
        model: One of ``MODELS``. It is needed with four coefficients, which fit both models.
        where: Name of the file or argument, for error messages.

    Raises:
        CalibrationInputError: If an argument is invalid or missing.
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
    model, coefficients = _check_distortion(model, dist_coeffs, where)
    if image_size is not None:
        size = tuple(np.ravel(image_size).tolist())
        if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
            raise CalibrationInputError(
                f'{where}: expected image_size [width, height] in pixels, found {image_size!r}.')
        image_size = size
    return Intrinsics(matrix, coefficients, image_size, model)


def check_image(image: np.ndarray, intrinsics: Intrinsics, name: str = 'image') -> None:
    """Check that an image is RGB and that the intrinsics belong to its size.

    See :func:`~nclr_plugin.datasets.images.check_image_size`. Without ``image_size``, a principal
    point far from the centre is refused.

    Args:
        image: (H, W, 3) uint8.
        intrinsics: Intrinsics of the camera.
        name: Name of the image, for error messages.

    Raises:
        CalibrationInputError: If the image is not RGB or has another size.
    """
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 \
            or image.dtype != np.uint8:
        found = (f'{image.dtype} of shape {image.shape}' if isinstance(image, np.ndarray)
                 else type(image).__name__)
        raise CalibrationInputError(
            f'{name}: expected RGB of shape (H, W, 3) uint8, found {found}.')
    height, width = image.shape[:2]
    centre = intrinsics.cam2img[:2, 2] / (width, height)
    if intrinsics.image_size is None and not ((centre > CENTRAL[0]) & (centre < CENTRAL[1])).all():
        raise CalibrationInputError(
            f'{name}: expected a principal point near the centre of its {width} x {height} pixels, '
            f'found ({intrinsics.cam2img[0, 2]:.1f}, {intrinsics.cam2img[1, 2]:.1f}): the '
            'intrinsics belong to an image of another size; if they do not, give image_size.')
    try:
        check_image_size(intrinsics.cam2img, intrinsics.image_size, (width, height), name)
    except ValueError as error:
        raise CalibrationInputError(str(error)) from error


def _check_distortion(model: Any, dist_coeffs: Any,
                      where: str) -> tuple[str | None, np.ndarray | None]:
    """Return OpenCV's model and the coefficients, (K,) float64, or ``None`` without any."""
    if model is not None and str(model).lower() not in MODELS:
        raise CalibrationInputError(
            f'{where}: expected one of {", ".join(MODELS)} as the distortion model, found '
            f'{model!r}; calibrate the camera with one of these.')
    model = None if model is None else MODELS[str(model).lower()]
    try:
        coefficients = np.array([] if dist_coeffs is None else dist_coeffs, np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise CalibrationInputError(
            f'{where}: expected numbers in dist_coeffs, found {dist_coeffs!r}.') from error
    if not len(coefficients) and model != 'fisheye':
        return model, None
    counts = NUM_COEFFICIENTS[model or 'pinhole']
    if len(coefficients) not in counts or not np.isfinite(coefficients).all():
        raise CalibrationInputError(
            f'{where}: expected {", ".join(map(str, counts))} finite dist_coeffs for a '
            f'{model or "pinhole"} camera, in the order of OpenCV '
            f'({"k1, k2, k3, k4" if model == "fisheye" else "k1, k2, p1, p2, k3, ..."}), found '
            f'{coefficients.tolist()}.')
    if model is None and len(coefficients) in NUM_COEFFICIENTS['fisheye']:
        raise CalibrationInputError(
            f'{where}: four dist_coeffs {coefficients.tolist()} are k1, k2, p1, p2 of a pinhole '
            'camera or k1, k2, k3, k4 of a fisheye; add distortion_model: plumb_bob or '
            'distortion_model: equidistant.')
    return model, coefficients


def _read_content(path: str, where: str) -> dict[str, Any]:
    """Read the entries of a file, by name."""
    try:
        with open(path, encoding='utf-8') as stream:
            text = stream.read().lstrip('\ufeff \n')
        if text.startswith(('%YAML:', '<?xml', '<opencv_storage')):
            return _read_file_storage(text)
        content = next((part for part in yaml.safe_load_all(text) if part is not None), None)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise CalibrationInputError(f'{where}: expected a YAML file with {EXPECTED}, found: '
                                    f'{describe_error(error)}') from error
    if not isinstance(content, dict):
        raise CalibrationInputError(f'{where}: expected {EXPECTED}, found {content!r}.')
    return content


def _read_file_storage(text: str) -> dict[str, Any]:
    """Parse the text of a file that OpenCV's ``FileStorage`` wrote.

    Raises:
        ValueError: If OpenCV cannot read it.
    """
    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        return {name: _value(storage.getNode(name)) for name in storage.root().keys()}
    except (cv2.error, SystemError) as error:
        cause = error.__cause__ or error
        raise ValueError(f'what OpenCV cannot read: {getattr(cause, "err", cause)}') from error


def _value(node: Any) -> Any:
    """Convert a node of a ``FileStorage`` to a number, text, list or array."""
    if node.isInt():
        return int(node.real())
    if node.isReal():
        return node.real()
    if node.isString():
        return node.string()
    if node.isSeq():
        return [_value(node.at(place)) for place in range(node.size())]
    return node.mat() if node.isMap() and 'data' in node.keys() else None


def _matrix(value: Any) -> Any:
    """Convert ``rows``, ``cols``, ``data`` of ROS to lists; return other values unchanged."""
    if not isinstance(value, dict) or not {'rows', 'cols', 'data'} <= set(value):
        return value
    try:
        return np.reshape(value['data'], (value['rows'], value['cols'])).tolist()
    except (TypeError, ValueError):
        return value['data']
