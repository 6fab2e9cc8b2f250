"""Layouts of public data sets for the demo data."""
from __future__ import annotations

from .base import Job, Layout
from .kitti import KittiObjectLayout, SemanticKittiLayout
from .nuscenes import NuScenesLayout

LAYOUTS: dict[str, type[Layout]] = {
    'kitti': KittiObjectLayout,
    'nuscenes': NuScenesLayout,
    'semantickitti': SemanticKittiLayout,
}

__all__ = ['LAYOUTS', 'Job', 'KittiObjectLayout', 'Layout', 'NuScenesLayout', 'SemanticKittiLayout']
