"""Procedural driving scenes: one geometry, recorded by a LiDAR and cameras."""
from __future__ import annotations

from .generate import generate
from .layouts import LAYOUTS
from .layouts.base import DemoOptions
from .scene import HEADINGS

__all__ = ['HEADINGS', 'LAYOUTS', 'DemoOptions', 'generate']
