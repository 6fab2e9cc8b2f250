"""The visualizer of mmdet3d's ``browse_dataset.py`` for the data sets of pretraining."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.registry import VISUALIZERS
from mmengine.visualization import Visualizer

from .canvas import stack, write_png
from .points import compare_poses


@VISUALIZERS.register_module()
class CalibrationVisualizer(Visualizer):
    """Draw scans on the images of their frame, as training gets them.

    ``--cfg-options visualizer.type=CalibrationVisualizer`` of ``browse_dataset.py`` chooses it.
    """

    @classmethod
    def get_instance(cls, name: str = 'visualizer', **kwargs: Any) -> CalibrationVisualizer:
        """Return the visualizer of a name, which the script does not give."""
        return super().get_instance(name, **kwargs)

    def add_datasample(self, name: str, data_input: dict, data_sample: Any, step: int = 0,
                       out_file: str | None = None, **_: Any) -> None:
        """Draw the scan by the true pose into each image, one below the other.

        Args:
            name: Name of the picture in the visual back ends, where ``out_file`` is ``None``.
            data_input: ``points`` (N, 3+) and ``imgs`` (V, 3, H, W) RGB of a frame.
            data_sample: Its :class:`~nclr_plugin.structures.CalibrationDataSample`.
            step: Step in the back ends.
            out_file: File of the picture; its suffix becomes ``.png``.
        """
        sample = data_sample.to_tensor()
        picture = stack([
            compare_poses(image.permute(1, 2, 0).cpu().numpy(), data_input['points'], cam2img,
                          {view: lidar2cam})
            for view, image, cam2img, lidar2cam in zip(
                sample.view_names, data_input['imgs'], sample.cam2img, sample.lidar2cam)])
        if out_file is None:
            self.add_image(name, picture, step)
        else:
            write_png(Path(out_file).with_suffix('.png'), picture)
