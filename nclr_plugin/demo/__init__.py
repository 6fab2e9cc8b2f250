"""A procedural world of driving scenes: one geometry, seen by a LiDAR and cameras alike."""
from __future__ import annotations

from .generate import generate
from .options import DemoOptions

__all__ = ['DemoOptions', 'generate']
