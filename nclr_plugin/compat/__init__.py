"""What the hosts need on newer Pythons, numpys and torches than they were written for.

mmcv has compiled operators for few releases of torch. ``mmcv-lite`` is the same library without
them, in plain Python; it lacks the module ``mmcv._ext`` alone. Where there is none,
:mod:`~nclr_plugin.compat.mmcv_ext` takes its place: it has the operators that SECOND needs on a
CPU, and any other says by name what to install when it is called. A compiled one is always found
first.
"""
from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any, Optional

import numpy as np

EXTENSION = 'mmcv._ext'
STAND_IN = str(Path(__file__).with_name('mmcv_ext.py'))


class ExtensionFinder:
    """Find ``mmcv._ext`` for the import system, after everybody else has been asked."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        """Return the spec of the stand-in for ``mmcv._ext``, ``None`` for any other module."""
        if name != EXTENSION:
            return None
        return spec_from_file_location(name, STAND_IN)


def make_hosts_importable() -> None:
    """Offer the stand-in for ``mmcv._ext`` and the name ``np.long``; repeat calls do nothing.

    mmdet3d 1.4 asks for ``np.long``, which numpy has before 1.24 and from 2.0 on.
    """
    if ExtensionFinder not in sys.meta_path:
        sys.meta_path.append(ExtensionFinder)
    if 'long' not in vars(np):  # hasattr would warn
        np.long = np.int_
