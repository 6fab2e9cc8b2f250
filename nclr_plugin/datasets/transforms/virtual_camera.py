"""Virtual cameras: pinhole views with random direction and field of view."""
from __future__ import annotations

from typing import Callable

import cv2
import numpy as np
from mmengine.registry import TRANSFORMS
import torch

from ...errors import BrokenFrameError
from ...geometry.camera import resize_intrinsics
from ...geometry.se3 import make_transform, so3_exp
from .geometric import check_size
from .loading import BaseTransform

AXIS_X, AXIS_Y = torch.eye(3, dtype=torch.float64)[:2]


@TRANSFORMS.register_module()
class VirtualCamera(BaseTransform):
    """Replace every image by that of a camera with a rotated optical axis.

    A rotation about the optical centre is a homography of the pixels for any scene. The window is a
    pinhole camera with square pixels and a central principal point, and its intrinsics and
    extrinsics are exact. Its direction is random within the image, so that the scan alone does not
    reveal where the camera looks. Shrinking averages pixels.

    Args:
        size: (width, height) of the window, pixels.
        fov: Smallest and largest horizontal field of view, degrees, uniform between them; limited
            to what the image contains.
        pitch: Largest rotation up or down, degrees.
        warm_up: Number of passes over the data in which the smallest field of view decreases
            linearly from the largest one to ``fov[0]``; 0 in evaluation.

    Raises:
        BrokenFrameError: If not even half of ``fov[0]`` fits about the principal point.
    """

    def __init__(self, size: tuple[int, int], fov: tuple[float, float] = (40., 80.),
                 pitch: float = 2., warm_up: int = 0) -> None:
        self.width, self.height = check_size('VirtualCamera', size)
        if len(fov) != 2 or not 0 < fov[0] <= fov[1] < 180:
            raise ValueError('VirtualCamera: expected fov (smallest, largest) between 0 and 180 '
                             f'degrees, found {fov}.')
        if not 0 <= pitch < 90 or warm_up < 0:
            raise ValueError('VirtualCamera: expected 0 <= pitch < 90 degrees and warm_up >= 0, '
                             f'found {pitch} and {warm_up}.')
        self.fov, self.pitch, self.warm_up = np.deg2rad(fov), np.deg2rad(pitch), warm_up

    def transform(self, results: dict) -> dict:
        """Replace ``imgs``, ``cam2img`` and ``lidar2cam``; see the class."""
        views = [self._turn(results, img, torch.from_numpy(cam2img), torch.from_numpy(lidar2cam))
                 for img, cam2img, lidar2cam in zip(
                     results['imgs'], results['cam2img'], results['lidar2cam'])]
        imgs, cam2img, lidar2cam = zip(*views)
        results['imgs'], results['cam2img'] = list(imgs), np.stack(cam2img)
        results['lidar2cam'] = np.stack(lidar2cam)
        return results

    def _turn(self, results: dict, img: np.ndarray, cam2img: torch.Tensor,
              lidar2cam: torch.Tensor) -> tuple:
        """Return a window of an image, its intrinsics and extrinsics."""
        rng, epoch = results['rng'], results.get('epoch', 0)
        narrowed = min(1., epoch / self.warm_up) if self.warm_up else 1.
        smallest = self.fov[1] + narrowed * (self.fov[0] - self.fov[1])
        fov = rng.uniform(smallest, self.fov[1])
        pitch, side, share = rng.uniform(-self.pitch, self.pitch), rng.choice([-1, 1]), rng.random()

        def fits(yaw: float, pitch: float, fov: float) -> bool:
            return self._fits(img.shape[:2], cam2img, yaw, pitch, fov)

        fov = largest(lambda value: fits(0., 0., value), fov)
        if fov < self.fov[0] / 2:
            raise BrokenFrameError(
                results['frame_id'], 'VirtualCamera: expected room for windows of '
                f'{np.degrees(self.fov[0]):.3g} deg about the principal point '
                f'{cam2img[:2, 2].tolist()} of an image of {img.shape[1]} x {img.shape[0]}, found '
                f'at most {np.degrees(fov):.3g} deg; crop the images less, or set a smaller fov.')
        pitch = np.sign(pitch) * largest(lambda value: fits(0., np.sign(pitch) * value, fov),
                                         abs(pitch))
        yaw = side * share * largest(lambda value: fits(side * value, pitch, fov), np.pi / 2)

        window, rotation = self._camera(yaw, pitch, fov)
        # Warp to at least the resolution of the image, then average: this does not alias.
        factor = max(1, int(np.ceil(float(cam2img[0, 0] / window[0, 0]))))
        finer = resize_intrinsics(window, factor, factor)
        homography = cam2img @ rotation.T @ torch.linalg.inv(finer)
        img = cv2.warpPerspective(
            img, homography.numpy(), (self.width * factor, self.height * factor),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
        if factor > 1:
            img = cv2.resize(img, (self.width, self.height), interpolation=cv2.INTER_AREA)
        turn = make_transform(rotation, rotation.new_zeros(3))
        return img, window.numpy(), (turn @ lidar2cam).numpy()

    def _camera(self, yaw: float, pitch: float, fov: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the intrinsics of the window, and the rotation from the camera to it."""
        focal = self.width / 2 / np.tan(fov / 2)
        cam2img = torch.tensor([[focal, 0., (self.width - 1) / 2],
                                [0., focal, (self.height - 1) / 2],
                                [0., 0., 1.]], dtype=torch.float64)
        return cam2img, so3_exp(-pitch * AXIS_X) @ so3_exp(-yaw * AXIS_Y)

    def _fits(self, size: tuple[int, int], cam2img: torch.Tensor, yaw: float, pitch: float,
              fov: float) -> bool:
        """Return whether the corners of the window, and so all of it, are within an image."""
        window, rotation = self._camera(yaw, pitch, fov)
        corners = torch.tensor([[x, y, 1.] for x in (-0.5, self.width - 0.5)
                                for y in (-0.5, self.height - 0.5)], dtype=torch.float64)
        rays = corners @ (cam2img @ rotation.T @ torch.linalg.inv(window)).T
        u, v = (rays[:, :2] / rays[:, 2:]).unbind(1)
        return bool((rays[:, 2] > 0).all() and u.min() >= -0.5 and v.min() >= -0.5
                    and u.max() <= size[1] - 0.5 and v.max() <= size[0] - 0.5)


def largest(holds: Callable[[float], bool], limit: float, steps: int = 20) -> float:
    """Return the largest value in [0, limit] up to which a condition holds, by bisection."""
    if holds(limit):
        return limit
    low, high = 0., limit
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
