"""Weight initialisation of first layers: ``init_cfg=dict(type='InputSpread', ...)``."""
from __future__ import annotations

from typing import Optional, Sequence

import torch
from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn


@WEIGHT_INITIALIZERS.register_module()
class InputSpread:
    """Divide a layer's initial weights by how widely its inputs spread.

    mmdet3d and OpenPCDet feed metres and reflectance without normalisation. With equal initial
    weights, x and y of tens of metres dominate height and intensity in the first layer, and AdamW,
    which moves all weights alike, keeps it so. Channels without a spread are left out: their
    weights are zero and have no gradient, so the pretrained network ignores them. In a downstream
    network with the same parameters they start at zero and are trained like all others.

    Args:
        layer: Name of the layer; its weight has the input channels last, as in spconv.
        spread: Rough standard deviation of each input channel; ``None`` leaves it out.

    Raises:
        AttributeError: The module has no such layer.
        ValueError: The layer has another number of inputs.
    """

    def __init__(self, layer: str, spread: Sequence[Optional[float]]) -> None:
        self.layer = layer
        self.spread = tuple(spread)

    def __call__(self, module: nn.Module) -> None:
        """Scale the weights that a fresh module has."""
        weight = module.get_submodule(self.layer).weight
        if weight.shape[-1] != len(self.spread):
            raise ValueError(
                f'InputSpread: {type(module).__name__}.{self.layer} has {weight.shape[-1]} '
                f'inputs, but spread has {len(self.spread)} values.')
        factor = weight.new_tensor([1 / std if std else 0. for std in self.spread])
        with torch.no_grad():
            weight *= factor
        weight.register_hook(lambda grad: grad * (factor > 0).to(grad))
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=f'InputSpread: {self.layer} over {self.spread}')
