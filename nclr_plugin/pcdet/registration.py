"""Register this project's parts with OpenPCDet."""
from __future__ import annotations

from .host import import_openpcdet


def register() -> None:
    """Add this project's parts to OpenPCDet's ``__all__`` dictionaries, for its YAML to name.

    The parts are the data set ``NCLRCalibrationDataset`` and the detector ``NCLRPretrain``. Calling
    it twice does no harm.

    Raises:
        FileNotFoundError: If ``OPENPCDET_ROOT`` is not a checkout.
        ImportError: If OpenPCDet is absent, not built, or lacks a package; in one sentence.
    """
    import_openpcdet()
    from pcdet import datasets
    from pcdet.models import detectors

    from .calibration_dataset import NCLRCalibrationDataset
    from .pretrain_detector import NCLRPretrain
    datasets.__all__['NCLRCalibrationDataset'] = NCLRCalibrationDataset
    detectors.__all__['NCLRPretrain'] = NCLRPretrain
