"""On-disk layouts of the demo world, by name."""
from __future__ import annotations

from typing import Dict, Type

from .base import Job, Layout
from .kitti import KittiObjectLayout
from .nuscenes import NuScenesLayout
from .semantickitti import SemanticKittiLayout

LAYOUTS: Dict[str, Type[Layout]] = {
    'kitti': KittiObjectLayout,
    'nuscenes': NuScenesLayout,
    'semantickitti': SemanticKittiLayout,
}

__all__ = ['LAYOUTS', 'Job', 'KittiObjectLayout', 'Layout', 'NuScenesLayout', 'SemanticKittiLayout']
