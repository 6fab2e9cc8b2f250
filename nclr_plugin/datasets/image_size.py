"""Whether intrinsics belong to an image of the size that was found."""
from __future__ import annotations

import logging
from functools import lru_cache
from typing import Optional, Sequence, Tuple

import numpy as np
from mmengine.logging import print_log

# Distance of the principal point from the centre of the image, as a share of its sides. That of
# KITTI's and nuScenes' cameras is 0.05 at most.
MAX_OFFSET = 0.05


def check_image_size(cam2img: np.ndarray, image_size: Optional[Sequence[int]],
                     found: Tuple[int, int], where: str, note: str = '') -> None:
    """Compare intrinsics with the size of an image; training and calibrating both do.

    Intrinsics hold for one size of image only. If it is unknown, the principal point may tell: a
    warning says that it is off the centre, or else that nothing tells. Each is said once.

    Args:
        cam2img: (3, 3).
        image_size: (width, height) that ``cam2img`` belongs to; ``None`` if unknown.
        found: (width, height) of the image.
        where: The image or the camera, for the message.
        note: What else is known of the image, for the message.

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
    if max(abs(u - 0.5), abs(v - 0.5)) > MAX_OFFSET:
        warn_once(
            f'{where}: the image has {width} x {height} pixels{note}, but the principal point of '
            f'its intrinsics is at {u:.0%} of the width and {v:.0%} of the height, off the '
            'centre. Unless the camera is built so, the intrinsics belong to an image of another '
            'size (state image_size), and every result is wrong.')
    else:
        warn_once(
            f'Nothing tells whether the intrinsics belong to images of {width} x {height} '
            'pixels: no image_size is stated, and the principal point is near the centre. Those '
            'of an image that was resized are not told from it.')


@lru_cache(maxsize=1024)
def warn_once(message: str) -> None:
    """Log a warning, unless this process has logged it already."""
    print_log(message, logger='current', level=logging.WARNING)
