"""Utilities of all packages.

- ``optional``: optional dependencies: imports, and lazy registration of classes.
- ``devices``: work that depends on the device, and the algorithm of sparse convolutions.
- ``dataset_wrappers``: data sets inside the wrappers of mmengine and mmdet3d.
"""
