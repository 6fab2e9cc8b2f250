"""Read camera images, and check that their size is that of the intrinsics."""
from __future__ import annotations

import io
import logging
import os
from functools import lru_cache
from typing import Sequence

import cv2
import numpy as np
from mmengine.logging import print_log

from ..errors import BrokenFrameError
from ..utils.optional import optional_import

# Distance of the principal point from the image centre, as a share of width and height. Resizing
# moves both; real cameras deviate in height only (nuScenes by up to 0.06).
MAX_OFFSET = 0.05, 0.1


def check_image_size(cam2img: np.ndarray, image_size: Sequence[int] | None,
                     found: tuple[int, int], where: str, note: str = '') -> None:
    """Check that intrinsics belong to the size of an image.

    If their ``image_size`` is unknown, warn once: either that the principal point is off the
    centre, or that the size cannot be checked.

    Args:
        cam2img: (3, 3).
        image_size: (width, height) that ``cam2img`` belongs to; ``None`` if unknown.
        found: (width, height) of the image.
        where: Name of the image or the camera, for the message.
        note: Remark on the image, for the message.

    Raises:
        ValueError: If the sizes differ.
    """
    width, height = found
    if image_size is not None:
        if tuple(image_size) != (width, height):
            raise ValueError(
                f'{where}: expected {image_size[0]} x {image_size[1]} pixels (image_size of the '
                f'intrinsics), found {width} x {height}{note}; intrinsics hold for one size: '
                'scale them, or take the original image.')
        return
    u, v = np.asarray(cam2img)[:2, 2] / (width, height)
    if abs(u - 0.5) > MAX_OFFSET[0] or abs(v - 0.5) > MAX_OFFSET[1]:
        warn_once(
            f'{where}: the image has {width} x {height} pixels{note}, but the principal point of '
            f'its intrinsics is at {u:.0%} of the width and {v:.0%} of the height, off the '
            'centre. Unless the camera is built this way, the intrinsics belong to an image of '
            'another size (state image_size), and every result is wrong.')
    else:
        warn_once(
            f'Cannot check whether the intrinsics belong to images of {width} x {height} pixels: '
            'no image_size is stated, and the principal point is near the centre, as it is after '
            'resizing.')


@lru_cache(maxsize=1024)
def warn_once(message: str) -> None:
    """Log a warning, unless this process has logged it already."""
    print_log(message, logger='current', level=logging.WARNING)


def read_image(frame_id: str, image: dict) -> np.ndarray:
    """Read an image as 8-bit RGB, upright as its EXIF orientation says.

    Grey becomes three equal channels, palettes become colours, and an alpha channel is dropped if
    it hides nothing. EXIF orientations are applied, as OpenCV's ``imread`` and viewers do, with a
    warning: ``cam2img`` and ``image_size`` belong to the upright image.

    Args:
        frame_id: Frame of the image, for the message.
        image: Dict with ``img_path``, and optionally ``cam2img`` and ``image_size`` to check, see
            :func:`check_image_size`.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        BrokenFrameError: If the file is absent or cannot be decoded, has more than 8 bits a
            channel or transparent parts, or has another size than ``image_size``.
    """
    path = image['img_path']
    try:
        pixels, orientation = decode_image(_read_bytes(path))
        folder = os.path.dirname(path)
        if orientation > 1:
            warn_once(
                f"Images of '{folder}': EXIF orientation {orientation} is applied, as OpenCV's "
                'imread and viewers do; the intrinsics have to be those of the upright image.')
        if 'cam2img' in image:
            height, width = pixels.shape[:2]
            note = '' if orientation == 1 else f' after its EXIF orientation {orientation}'
            check_image_size(image['cam2img'], image.get('image_size'), (width, height),
                             f"images of '{folder}'", note)
    except ValueError as error:
        raise BrokenFrameError(frame_id, f"image '{path}': {error}") from error
    return pixels


def decode_image(data: bytes) -> tuple[np.ndarray, int]:
    """Decode a PNG or JPEG; see :func:`read_image`.

    Returns:
        The upright image, (H, W, 3) uint8 RGB, and its EXIF orientation, 1 ... 8 (1: as it is
        stored).

    Raises:
        ValueError: If it cannot be decoded, or has more than 8 bits a channel or transparent parts.
    """
    return _apply_exif_orientation(_to_rgb(_decode(data)), data)


def _read_bytes(path: str) -> bytes:
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        found = 'none' if not os.path.exists(path) else 'something unreadable'
        raise ValueError(f'expected a file, found {found}.')
    with open(path, 'rb') as stream:
        return stream.read()


def _decode(data: bytes) -> np.ndarray:
    """Return the pixels as they are stored: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if pixels is None:
        raise ValueError(f'expected a complete PNG or JPEG, found {len(data)} bytes that cannot '
                         'be decoded: it is corrupt or cut off.')
    return pixels


def _to_rgb(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype != np.uint8:
        raise ValueError(
            f'expected 8 bits a channel, found {8 * pixels.itemsize} ({pixels.dtype}, largest '
            f'value {pixels.max():.5g}); it is unknown which of them hold the picture: '
            'convert it, such as by cv2.convertScaleAbs(image, alpha=255 / largest).')
    if pixels.ndim == 3 and pixels.shape[2] == 4 and pixels[..., 3].min() < 255:
        raise ValueError(
            f'expected an opaque image, found {(pixels[..., 3] < 255).mean():.1%} of it '
            'transparent; save it without alpha channel.')
    code = cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else (
        cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGB)
    return cv2.cvtColor(pixels, code)


def _apply_exif_orientation(pixels: np.ndarray, data: bytes) -> tuple[np.ndarray, int]:
    orientation = _exif_orientation(data)
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels), orientation


def _exif_orientation(data: bytes) -> int:
    if b'Exif\0' not in data and b'eXIf' not in data:
        return 1
    pil = optional_import('PIL.Image', 'pillow', 'Reading images that EXIF turns')
    try:
        orientation = pil.open(io.BytesIO(data)).getexif().get(0x0112, 1)
    except Exception:  # the picture was decoded; broken metadata are ignored
        return 1
    return orientation if orientation in range(1, 9) else 1
