"""Pretrain OpenPCDet's VoxelBackBone8x with OpenPCDet's own tools and YAML configs.

``register()`` adds this project's classes to OpenPCDet. ``python -m nclr_plugin.pcdet.train`` and
``.test`` do so and then run OpenPCDet's tools. Importing this package needs no OpenPCDet.
"""
from .openpcdet import find_openpcdet, import_openpcdet

__all__ = ['find_openpcdet', 'register']


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
