"""Layouts of public data sets for the demo data."""
from __future__ import annotations

from .base import Job, Layout
from .kitti import KittiObjectLayout, SemanticKittiLayout
from .nuscenes import NuScenesLayout
from .rig import RigLayout

LAYOUTS: dict[str, type[Layout]] = {
    'kitti': KittiObjectLayout,
    'nuscenes': NuScenesLayout,
    'rig': RigLayout,
    'semantickitti': SemanticKittiLayout,
}

__all__ = ['LAYOUTS', 'Job', 'KittiObjectLayout', 'Layout', 'NuScenesLayout', 'RigLayout',
           'SemanticKittiLayout']
