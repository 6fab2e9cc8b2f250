"""Pretrain OpenPCDet's VoxelBackBone8x with OpenPCDet's own tools and YAML configs.

``register()`` adds this project's classes to OpenPCDet. ``python -m nclr_plugin.pcdet.train`` and
``.test`` do so and then run OpenPCDet's tools. Importing this package needs no OpenPCDet.
"""
from .openpcdet import find_openpcdet, register

__all__ = ['find_openpcdet', 'register']
