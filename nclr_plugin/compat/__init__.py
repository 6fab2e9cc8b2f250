"""Compatibility of mmdet3d and mmcv with newer releases of Python, numpy and torch.

mmcv has compiled operators for few releases of torch. ``mmcv-lite`` is mmcv without its compiled
module ``mmcv._ext``. If that is absent, :mod:`~nclr_plugin.compat.mmcv_ext` replaces it: it has the
operators of SECOND for the CPU, and any other operator raises and says what to install. A compiled
module always takes precedence.

Where there is no GPU, :class:`KernelFinder` spares every process the 6 seconds that spconv spends
on the list of its GPU kernels when it is imported.
"""
from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import torch

EXTENSION = 'mmcv._ext'
REPLACEMENT = str(Path(__file__).with_name('mmcv_ext.py'))


class ExtensionFinder:
    """Find ``mmcv._ext`` if no other finder does."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of the replacement of ``mmcv._ext``, ``None`` for other modules."""
        if name != EXTENSION:
            return None
        return spec_from_file_location(name, REPLACEMENT)


class KernelFinder:
    """Empty spconv's lists of GPU kernels where there is no GPU.

    Importing ``spconv.algo`` would describe thousands of kernels, none of them for the CPU.
    """

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """Empty the lists of kernels before other finders import ``spconv.algo``."""
        if name == 'spconv.algo' and not torch.cuda.is_available():
            core = import_module('spconv.core')
            core.ALL_NATIVE_PARAMS = core.ALL_IMPGEMM_PARAMS = []


def make_mmdet3d_importable() -> None:
    """Provide ``mmcv._ext`` and ``np.long`` if absent; repeated calls do nothing.

    mmdet3d 1.4 uses ``np.long``, which numpy lacks from 1.24 to before 2.0.
    """
    if ExtensionFinder not in sys.meta_path:
        sys.meta_path.append(ExtensionFinder)
        sys.meta_path.insert(0, KernelFinder)
    if 'long' not in vars(np):  # hasattr would warn
        np.long = np.int_
