"""Procedural driving scenes: one geometry, recorded by a LiDAR and cameras.

- ``generate``, ``layouts``: data sets of such scenes, in the layout of public ones.
- ``scene``, ``street``, ``scenery``, ``objects``: what stands in a scene, made of ``primitives``.
- ``frame``, ``sensors``, ``rays``, ``appearance``: what LiDAR and cameras record of it.
- ``pose_problems``: points and pixels with known poses, without a scene.
"""
from __future__ import annotations

from .generate import generate
from .layouts import LAYOUTS
from .layouts.base import DemoOptions
from .scene import HEADINGS

__all__ = ['HEADINGS', 'LAYOUTS', 'DemoOptions', 'generate']
