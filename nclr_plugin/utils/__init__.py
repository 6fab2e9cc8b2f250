"""Utilities of all packages.

- ``optional``: imports of optional dependencies.
- ``devices``: work that depends on the device of a tensor.
- ``sparse``: the algorithm of sparse convolutions by device.
- ``dataset_wrappers``: data sets inside the wrappers of mmengine and mmdet3d.
"""
