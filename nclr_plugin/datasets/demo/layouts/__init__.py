"""On-disk layouts of the demo world, by name."""
from __future__ import annotations

from typing import Dict, Type

from .base import Job, Layout
from .kitti import KittiObjectLayout
from .semantickitti import SemanticKittiLayout

LAYOUTS: Dict[str, Type[Layout]] = {
    'kitti': KittiObjectLayout,
    'semantickitti': SemanticKittiLayout,
}

__all__ = ['LAYOUTS', 'Job', 'KittiObjectLayout', 'Layout', 'SemanticKittiLayout']
