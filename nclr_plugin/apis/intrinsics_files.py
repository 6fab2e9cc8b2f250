"""Intrinsics from the files that OpenCV, ROS and people write."""
from __future__ import annotations

import re
from typing import Any, Dict

import numpy as np

from ..utils.optional import optional_import
from ..errors import CalibrationInputError
from .intrinsics import Intrinsics, make_intrinsics

# Names without case and underscores: ours, those of OpenCV's calibration samples (some with other
# capitals), of ROS' camera_info, and of its messages.
NAMES = dict(
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


def read_intrinsics(path: str) -> Intrinsics:
    """Read intrinsics from a YAML or XML file.

    It is one of:

    - ``cam2img: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`` and, where known, ``dist_coeffs: [k1, k2,
      p1, p2, k3]`` (OpenCV's order), ``distortion_model`` (needed for a fisheye camera, and
      beside four coefficients) and ``image_size: [width, height]``;
    - what OpenCV's ``FileStorage`` writes, YAML or XML: ``camera_matrix``,
      ``distortion_coefficients``, ``image_width``, ``image_height``;
    - what ROS' camera_calibration writes, or a ``camera_info`` message: ``K`` and ``D`` of the
      image as the sensor gives it, not of a rectified one.

    Raises:
        CalibrationInputError: If there is no such file, or it holds something else.
    """
    where = f"intrinsics '{path}'"
    content = _read_content(path, where)
    found: Dict[str, Any] = {}
    unknown = []
    for key, value in content.items():
        plain = re.sub('[_ -]', '', str(key).lower())
        name = next((name for name, names in NAMES.items() if plain in names), None)
        if name is None:
            unknown.append(str(key))
        elif name in found:
            raise CalibrationInputError(f'{where}: expected one {name}, found {key} beside '
                                        'another name of it; remove one.')
        else:
            found[name] = _matrix(value)
    # Files of OpenCV and ROS hold much else, but distortion that is passed over would be wrong.
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


def _read_content(path: str, where: str) -> Dict[str, Any]:
    """Return the entries of the file by name."""
    import yaml  # comes with mmengine

    try:
        with open(path, encoding='utf-8') as stream:
            text = stream.read().lstrip('\ufeff \n')
        if text.startswith(('%YAML:', '<?xml', '<opencv_storage')):
            return _read_file_storage(text)
        content = next((part for part in yaml.safe_load_all(text) if part is not None), None)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise CalibrationInputError(f'{where}: expected a YAML file with {EXPECTED}, found: '
                                    f'{" ".join(str(error).split())}') from error
    if not isinstance(content, dict):
        raise CalibrationInputError(f'{where}: expected {EXPECTED}, found {content!r}.')
    return content


def _read_file_storage(text: str) -> Dict[str, Any]:
    """Return the entries of a file that OpenCV's ``FileStorage`` wrote.

    Raises:
        ValueError: If OpenCV cannot read it.
    """
    cv2 = optional_import('cv2', 'opencv-python-headless', 'Reading files of OpenCV')
    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        return {name: _value(storage.getNode(name)) for name in storage.root().keys()}
    except (cv2.error, SystemError) as error:
        cause = error.__cause__ or error
        raise ValueError(f'what OpenCV cannot read: {getattr(cause, "err", cause)}') from error


def _value(node: Any) -> Any:
    """Return a node of a ``FileStorage`` as a number, text, list or array."""
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
    """Return ``rows``, ``cols``, ``data`` of ROS as lists; other values as they are."""
    if not isinstance(value, dict) or not {'rows', 'cols', 'data'} <= set(value):
        return value
    try:
        return np.reshape(value['data'], (value['rows'], value['cols'])).tolist()
    except (TypeError, ValueError):
        return value['data']
