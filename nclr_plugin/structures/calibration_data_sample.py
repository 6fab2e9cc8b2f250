"""The sample of a 2D-3D calibration task."""
from __future__ import annotations

from typing import Any, Optional

from mmengine.structures import BaseDataElement

# Shape of a field after its first axis, the V views.
VIEW_SHAPES = dict(
    lidar2cam=(4, 4),
    cam2img=(3, 3),
    pred_lidar2cam=(4, 4),
    pred_valid=(),
    pred_inlier_ratio=(),
    pred_reprojection_error=())


class CalibrationDataSample(BaseDataElement):
    """Ground truth and predictions of one scan and its V views (cameras).

    Every transform maps LiDAR to camera coordinates (``p_cam = R @ p_lidar + t``, metres); pixels
    ``(u, v)`` are of the image as the model sees it.

    Meta information:
        - ``frame_id`` (str): The frame.
        - ``lidar_path`` (str), ``img_paths`` (list[str]): Its files.
        - ``view_names`` (list[str]): The cameras, in the order of the views.
        - ``placement`` (4x4 array): Random sensor placement, ``p' = placement @ p`` (paper Eq. 8).
        - ``skipped_frames`` (list[tuple[str, str]]): Broken frames that this one stands in for,
          each with the reason.

    Ground truth:
        - ``lidar2cam`` (V, 4, 4) float64: Extrinsics after placement.
        - ``cam2img`` (V, 3, 3) float64: Intrinsics of the image as the model sees it.

    Predictions, set by the model:
        - ``pred_lidar2cam`` (V, 4, 4) float64, ``pred_valid`` (V,) bool: Pose of each view, and
          whether one was found.
        - ``pred_inlier_ratio`` (V,), ``pred_reprojection_error`` (V,): Share of the matches that
          agree with the pose, and their error in pixels.
        - ``pred_matches`` (list): For each view the matched ``points`` (K, 3), ``pixels`` (K, 2)
          and ``scores`` (K,).

    Raises:
        ValueError: When one of the tensors above is set in another shape.

    Example:
        >>> sample = CalibrationDataSample(metainfo=dict(frame_id='00/000012'))
        >>> sample.lidar2cam = torch.eye(4, dtype=torch.float64).expand(6, 4, 4)
    """

    def set_field(self,
                  value: Any,
                  name: str,
                  dtype: Optional[Any] = None,
                  field_type: str = 'data') -> None:
        """Set a field, its shape checked; see mmengine's ``BaseDataElement``."""
        if name in VIEW_SHAPES:
            shape = tuple(getattr(value, 'shape', ()))
            if not shape or shape[1:] != VIEW_SHAPES[name]:
                sides = 'V,' + ', '.join(map(str, VIEW_SHAPES[name]))
                raise ValueError(f'{name}: expected a tensor of shape ({sides}), found '
                                 f'{type(value).__name__} of shape {shape}.')
        super().set_field(value, name, dtype, field_type)
