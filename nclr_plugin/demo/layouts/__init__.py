"""Layouts in which the demo world can be written."""
from __future__ import annotations

from typing import Dict, Type

from .base import Job, Layout
from .kitti import KittiObjectLayout, SemanticKittiLayout
from .nuscenes import NuScenesLayout

LAYOUTS: Dict[str, Type[Layout]] = {
    'kitti': KittiObjectLayout,
    'nuscenes': NuScenesLayout,
    'semantickitti': SemanticKittiLayout,
}

__all__ = ['LAYOUTS', 'Job', 'KittiObjectLayout', 'Layout', 'NuScenesLayout', 'SemanticKittiLayout']
