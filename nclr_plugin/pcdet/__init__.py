"""OpenPCDet: pretraining on its VoxelBackBone8x by its own tools and YAML.

``register()`` adds the parts to OpenPCDet's dictionaries; ``python -m nclr_plugin.pcdet.train``
and ``.test`` register them and run OpenPCDet's tools. Importing this package needs no OpenPCDet.
"""
from .host import find_openpcdet
from .registration import register

__all__ = ['find_openpcdet', 'register']
