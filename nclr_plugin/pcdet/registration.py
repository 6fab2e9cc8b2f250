"""Register this project's classes with OpenPCDet."""
from __future__ import annotations

from .openpcdet import import_openpcdet


def register() -> None:
    """Add this project's classes to OpenPCDet's ``__all__`` dictionaries.

    OpenPCDet's YAML can then name the data set ``NCLRCalibrationDataset`` and the detector
    ``NCLRPretrain``. Repeated calls are harmless.

    Raises:
        FileNotFoundError: If ``OPENPCDET_ROOT`` is not a checkout.
        ImportError: If OpenPCDet is missing, not built, or lacks a package. The message is one
            sentence.
    """
    import_openpcdet()
    from pcdet import datasets
    from pcdet.models import detectors

    from .calibration_dataset import NCLRCalibrationDataset
    from .pretrain_detector import NCLRPretrain
    datasets.__all__['NCLRCalibrationDataset'] = NCLRCalibrationDataset
    detectors.__all__['NCLRPretrain'] = NCLRPretrain
