"""Pretrained weights from a config: ``init_cfg=dict(type='NCLRPretrained', ...)``."""
from __future__ import annotations

from typing import Optional

from mmengine.logging import print_log
from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from .loading import load_pretrained
from .voxels import warn_of_other_voxels


@WEIGHT_INITIALIZERS.register_module()
class NCLRPretrained:
    """Initialise a host backbone with pretrained weights, verified.

    Unlike the host's ``Pretrained`` it loads the kernels of sparse convolutions whatever the
    prefix, recognises other frameworks' names and layouts, and raises when tensors stay random.

    Args:
        checkpoint: A file or URL; ``None`` or ``''``: training starts from scratch.
        prefix: Where the backbone lies in the file; ``None``: it is found.
        min_match: The least share of the backbone's tensors that must be loaded.
        submodule: Name of the part that gets the weights, for modules whose backbone takes no
            ``init_cfg``: ``'middle_encoder'`` for mmdet3d's voxel detectors.

    Raises:
        PretrainedWeightsError: See :func:`~nclr_plugin.checkpoints.load_pretrained`.
        AttributeError: The module has no such ``submodule``.
    """

    def __init__(self,
                 checkpoint: Optional[str] = None,
                 prefix: Optional[str] = None,
                 min_match: float = 1.0,
                 submodule: Optional[str] = None) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.min_match = min_match
        self.submodule = submodule

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into a module."""
        name = type(module).__name__ + f'.{self.submodule}' * bool(self.submodule)
        if not self.checkpoint:
            print_log(f'{name}: no checkpoint given, training starts from scratch.', 'current')
            return
        target = module.get_submodule(self.submodule) if self.submodule else module
        # mmengine runs an initialiser before those of the children, but for its own 'Pretrained':
        # theirs come first here too, lest they overwrite what is loaded.
        for child in [target] if self.submodule else target.children():
            if hasattr(child, 'init_weights') and not getattr(child, 'is_init', False):
                child.init_weights()
        load_pretrained(target, self.checkpoint, self.prefix, self.min_match)
        warn_of_other_voxels(module, self.checkpoint)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=f'NCLRPretrained: load from {self.checkpoint}')
