"""Convert ROS messages to images, scans and intrinsics.

The messages are those of the package rosbags, whose attributes are named as in ROS.
"""
from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np

from ..datasets.images import decode_image, warn_once
from ..datasets.scan_files import column_fields
from ..errors import CalibrationInputError, ScanError
from .intrinsics import Intrinsics, make_intrinsics

COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
# Channels of each kind of raw image, and OpenCV's conversion to RGB. The letters of a Bayer pattern
# are those of its first two rows in ROS, those of its second row from the second column in OpenCV.
COLOURS = dict(
    mono=(1, 'COLOR_GRAY2RGB'), rgb=(3, None), bgr=(3, 'COLOR_BGR2RGB'),
    rgba=(4, 'COLOR_RGBA2RGB'), bgra=(4, 'COLOR_BGRA2RGB'), bayer_rggb=(1, 'COLOR_BayerBG2RGB'),
    bayer_bggr=(1, 'COLOR_BayerRG2RGB'), bayer_gbrg=(1, 'COLOR_BayerGR2RGB'),
    bayer_grbg=(1, 'COLOR_BayerGB2RGB'), uyvy=(2, 'COLOR_YUV2RGB_UYVY'),
    yuyv=(2, 'COLOR_YUV2RGB_YUY2'))
ALIASES = {'8UC1': 'mono8', '8UC3': 'bgr8', 'yuv422': 'uyvy8', 'uyvy': 'uyvy8',
           'yuv422_yuy2': 'yuyv8', 'yuyv': 'yuyv8'}
ENCODING = re.compile(rf'({"|".join(COLOURS)})(8|16)$')
BITS = 8, 10, 12, 14, 16  # per channel, in common cameras
POINT_TYPES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}


def time_stamp(message: Any) -> int:
    """Return the time stamp in the header of a message, nanoseconds."""
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def image_from_message(message: Any, name: str = 'image') -> np.ndarray:
    """Convert an ``Image`` or a ``CompressedImage``.

    Args:
        message: Message; raw images are grey, RGB, BGR, Bayer or YUV 4:2:2, with 8 or 16 bits. Of
            16 bits, the 8 highest that are in use are kept.
        name: Name of the image, for messages.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        CalibrationInputError: If the encoding is another one, or the data are cut off.
    """
    try:
        if message.__msgtype__ == COMPRESSED_IMAGE:
            return decode_image(message.data.tobytes())[0]
        return _raw_image(message)
    except ValueError as error:
        raise CalibrationInputError(f'{name}: {error}') from error


def _raw_image(message: Any) -> np.ndarray:
    match = ENCODING.match(ALIASES.get(message.encoding, message.encoding))
    if match is None:
        raise ValueError(f'expected the encoding {", ".join(COLOURS)} with 8 or 16 bits, found '
                         f"'{message.encoding}'; convert it (image_proc), or record another topic.")
    channels, conversion = COLOURS[match.group(1)]
    num_bytes = int(match.group(2)) // 8
    row = message.width * channels * num_bytes
    if not row or message.step < row or len(message.data) < message.step * message.height:
        raise ValueError(
            f'expected {message.height} rows of {row} bytes or more ({message.width} pixels, '
            f'{message.encoding}), found {len(message.data)} bytes in rows of {message.step}.')
    rows = message.data[:message.step * message.height].reshape(message.height, message.step)
    order = '>' if message.is_bigendian else '<'
    pixels = np.ascontiguousarray(rows[:, :row]).view(f'{order}u{num_bytes}')
    pixels = _eight_bits(pixels).reshape(message.height, message.width, channels)
    return pixels if conversion is None else cv2.cvtColor(pixels, getattr(cv2, conversion))


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Return the highest 8 bits in use; cameras store 10, 12 or 14 bits in 16."""
    if pixels.dtype.itemsize == 1:
        return pixels
    used = next(bits for bits in BITS if pixels.max(initial=0) < 2**bits)
    if used < BITS[-1]:
        warn_once(f'16-bit images with values below {2**used}: the highest 8 of {used} bits '
                  'are kept.')
    return (pixels >> (used - 8)).astype(np.uint8)


def points_from_message(message: Any, name: str = 'scan') -> np.ndarray:
    """Convert a ``PointCloud2``.

    Args:
        message: Message with fields x, y, z and perhaps an intensity of any numeric type; an
            organised cloud may have padded rows.
        name: Name of the scan, for messages.

    Returns:
        (N, 4) float32: x, y, z, intensity as it is stored; (N, 3) without one. Rows without a
        measurement (NaN, zeros) are included, as in :func:`~nclr_plugin.apis.load_scan`.

    Raises:
        CalibrationInputError: If there is no x, y or z, a field has another type, or the data are
            cut off.
    """
    fields = {field.name: field for field in message.fields}
    try:
        columns = column_fields(fields, name)
    except ScanError as error:
        raise CalibrationInputError(str(error)) from error
    height, width, step = message.height, message.width, message.point_step
    row_step = message.row_step if height > 1 else width * step
    types = [POINT_TYPES.get(fields[column].datatype) for column in columns]
    ends = [fields[column].offset + np.dtype(kind).itemsize for column, kind in zip(columns, types)
            if kind is not None]
    if None in types or max(ends) > step or row_step < width * step \
            or len(message.data) < row_step * height:
        found = [(field.name, field.offset, field.datatype) for field in message.fields]
        raise CalibrationInputError(
            f'{name}: expected {height} rows of {width} points of {step} bytes, found '
            f'{len(message.data)} bytes in rows of {row_step}, and (field, offset, type) {found}; '
            'the message is cut off, or its driver declares a wrong layout.')
    if not height * width:
        raise CalibrationInputError(f'{name}: expected points, found none.')
    order = '>' if message.is_bigendian else '<'
    layout = np.dtype(dict(names=columns, formats=[order + kind for kind in types],
                           offsets=[fields[column].offset for column in columns], itemsize=step))
    rows = np.ndarray((height, width), layout, np.ascontiguousarray(message.data),
                      strides=(row_step, step))
    with np.errstate(over='ignore', invalid='ignore'):
        return np.stack([rows[column].astype(np.float32).ravel() for column in columns], 1)


def intrinsics_from_message(message: Any, name: str = 'camera_info',
                            rectified: bool = False) -> Intrinsics:
    """Convert a ``CameraInfo``.

    Args:
        message: Message of ROS 1 or ROS 2.
        name: Name of the topic, for messages.
        rectified: Whether the images are rectified; if so, ``P`` holds their intrinsics, and they
            have no distortion.

    Raises:
        CalibrationInputError: If the camera is not calibrated, or has an unknown distortion model.
    """
    lower = hasattr(message, 'k')  # ROS 2
    matrix = np.reshape(message.k if lower else message.K, (3, 3))
    projection = np.reshape(message.p if lower else message.P, (3, 4))
    size = (int(message.width), int(message.height)) if message.width else None
    if not matrix.any():
        raise CalibrationInputError(f'{name}: expected the intrinsics of the camera, found zeros: '
                                    'it is not calibrated; give the intrinsics as a file.')
    if rectified:
        return make_intrinsics(projection[:, :3], image_size=size, where=name)
    return make_intrinsics(matrix, message.d if lower else message.D, size,
                           message.distortion_model or None, name)
