"""2D-3D neural calibration as a plugin for mmdet3d and OpenPCDet.

Importing this package registers every component in mmengine's root registries, so a config of
another project needs only ``custom_imports = dict(imports=['nclr_plugin'])``. The import itself
needs torch, numpy and mmengine; mmdet3d, a sparse-convolution library or a plotting library are
imported where they are used.
"""

from . import apis, checkpoints, compat, datasets, engine, evaluation, models, visualization
from .version import __version__

compat.make_mmdet3d_importable()

__all__ = ['__version__', 'apis', 'checkpoints', 'compat', 'datasets', 'engine', 'evaluation',
           'models', 'visualization']
