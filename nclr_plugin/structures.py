"""Data structures passed between data sets, models, metrics and pictures."""
from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

from mmengine.structures import BaseDataElement
from torch import Tensor

from .geometry.camera import CellGrid

# Shape of a field after its first axis, the V views; a letter stands for any length.
VIEW_SHAPES = dict(
    lidar2cam=(4, 4),
    cam2img=(3, 3),
    pred_lidar2cam=(4, 4),
    pred_valid=(),
    pred_inlier_ratio=(),
    pred_reprojection_error=(),
    pred_point_overlap=('M', ),
    pred_pixel_overlap=("H'", "W'"),
    gt_point_overlap=('M', ),
    gt_pixel_overlap=("H'", "W'"))


class CalibrationDataSample(BaseDataElement):
    """Ground truth and predictions of one scan and its V views (cameras).

    Every pose maps LiDAR to camera coordinates (``p_cam = R @ p_lidar + t``, metres). Pixels
    ``(u, v)`` refer to the model's input image.

    Meta information:
        - ``frame_id`` (str): Name of the frame.
        - ``lidar_path`` (str), ``img_paths`` (list[str]): Files of the frame.
        - ``view_names`` (list[str]): Cameras, in the order of the views.
        - ``rigid_transform`` (4x4 array): Random rigid transform of the scan,
          ``p' = rigid_transform @ p`` (paper, Eq. 8).
        - ``mismatched_image`` (bool): Whether the images are of another scene than the scan, to
          measure what is guessed from the scan alone; absent means ``False``.
        - ``skipped_frames`` (list[tuple[str, str]]): Broken frames that this one replaces, each
          with the reason.

    Ground truth:
        - ``lidar2cam`` (V, 4, 4) float64: Extrinsics after the random transform.
        - ``cam2img`` (V, 3, 3) float64: Intrinsics of the model's input image.

    Predictions, set by the model:
        - ``pred_lidar2cam`` (V, 4, 4) float64, ``pred_valid`` (V,) bool: Pose of each view, and
          whether there is one.
        - ``pred_inlier_ratio`` (V,), ``pred_reprojection_error`` (V,): Share of the matches that
          agree with the pose, and their error in pixels.
        - ``pred_matches`` (list): For each view the matched ``points`` (K, 3), ``pixels`` (K, 2)
          and ``scores`` (K,).
        - ``pred_yaw_probs`` (V, 2): Probabilities of the best and the second viewing
          direction; absent without a yaw head.

    Computed on request of metrics and pictures, see :func:`inspection` (on the CPU, float32 unless
    stated). There are M voxels in the scan and H' W' cells in the stride-4 map, see
    :class:`~nclr_plugin.geometry.camera.CellGrid`. Without an overlap head there are no
    ``pred_*_overlap`` and ``overlap_thresholds``:
        - ``voxel_points`` (M, 3): Centroids of the voxels, transformed LiDAR frame, metres.
        - ``pred_point_overlap`` (V, M), ``pred_pixel_overlap`` (V, H', W'): Probabilities of being
          in the overlap.
        - ``overlap_thresholds`` (2,): Probabilities above which points and pixels were matched.
        - ``gt_point_overlap`` (V, M), ``gt_pixel_overlap`` (V, H', W') bool: Training labels
          (Eq. 3).
        - ``matchings`` (list): For each view, of K points that truly overlap, ``points`` (K, 3),
          ``true_pixels`` (K, 2), and the pixels (K, 2) matched to them within the predicted
          overlap: ``cosine_hard``, ``cosine_soft``, ``learned_hard``, ``learned_soft``. Also
          ``cosine_similarity``, ``learned_similarity`` (K,): cosine of a point's feature and that
          of the cell it projects to, before and after the learned alignment. A model without
          alignment has no ``learned_*``.
        - ``features`` (BaseDataElement): Normalised ``points`` (M, D) and ``pixels`` (V, H'W', D)
          before the alignment; ``aligned_points``, ``aligned_pixels`` after it (the same without
          one), whose dot product is the learned similarity.

    Raises:
        ValueError: If one of the tensors above is set with another shape.

    Example:
        >>> sample = CalibrationDataSample(metainfo=dict(frame_id='00/000012'))
        >>> sample.lidar2cam = torch.eye(4, dtype=torch.float64).expand(6, 4, 4)
    """

    def set_field(self,
                  value: Any,
                  name: str,
                  dtype: Any | None = None,
                  field_type: str = 'data') -> None:
        """Set a field and check its shape; see mmengine's ``BaseDataElement``."""
        if name in VIEW_SHAPES:
            expected, shape = VIEW_SHAPES[name], tuple(getattr(value, 'shape', ()))
            if len(shape) != len(expected) + 1 or any(
                    side not in (found, str(side)) for side, found in zip(expected, shape[1:])):
                sides = 'V,' + ','.join(f' {side}' for side in expected)
                raise ValueError(f'{name}: expected a tensor of shape ({sides}), found '
                                 f'{type(value).__name__} of shape {shape}.')
        super().set_field(value, name, dtype, field_type)


def inspection(sample: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields that metrics and pictures need; compute them at the first call.

    Args:
        sample: A predicted :class:`CalibrationDataSample`, or its dict.

    Returns:
        Fields by name; the sample itself if it holds them.
    """
    inspect = sample.get('inspect')
    return sample if inspect is None else inspect()


def check_image_sizes(imgs: Sequence[Tensor], samples: Sequence[Any] | None = None) -> None:
    """Check that the images of a batch have one size.

    Args:
        imgs: Images (V_i, 3, H, W) of each scan.
        samples: Its data samples, whose ``frame_id`` the message names.

    Raises:
        ValueError: If the sizes differ.
    """
    sizes = [tuple(img.shape[-2:]) for img in imgs]
    if len(set(sizes)) > 1:
        names = [getattr(sample, 'frame_id', None) for sample in samples or [None] * len(sizes)]
        found = ', '.join(f'{height} x {width}' + (f' (frame {name})' if name else '')
                          for (height, width), name in zip(sizes, names))
        raise ValueError('expected images of one size in a batch, found height x width '
                         f'{found}; add ResizeImages to the pipeline.')


class Views(NamedTuple):
    """V views (scan and camera) of B scans, on the device of the model.

    Attributes:
        imgs: (V, 3, H, W), normalised, the views of all scans in order.
        view_batch_index: (V,) index of the scan of each view.
        voxels: :class:`~nclr_plugin.models.layers.voxelization.VoxelBatch` of the scans.
        cam2img: (V, 3, 3) float32.
        lidar2cam: (V, 4, 4) float32; ``None`` if unknown.
    """
    imgs: Tensor
    view_batch_index: Tensor
    voxels: Any
    cam2img: Tensor
    lidar2cam: Tensor | None = None

    @property
    def batch_size(self) -> int:
        """Number of scans."""
        return len(self.voxels.origin)

    def grid(self, stride: int) -> CellGrid:
        """Return the cells of the images' feature maps of a stride."""
        return CellGrid(*self.imgs.shape[-2:], stride)
