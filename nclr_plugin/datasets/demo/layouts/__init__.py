"""On-disk layouts of the demo world, by name."""
from __future__ import annotations

from typing import Dict, Type

from .base import Job, Layout
from .semantickitti import SemanticKittiLayout

LAYOUTS: Dict[str, Type[Layout]] = {'semantickitti': SemanticKittiLayout}

__all__ = ['LAYOUTS', 'Job', 'Layout', 'SemanticKittiLayout']
