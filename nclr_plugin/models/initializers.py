"""Weight initialisation of first layers: ``init_cfg=dict(type='InputScaleInit', ...)``."""
from __future__ import annotations

from typing import Sequence

import torch
from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from ..utils.devices import constant


@WEIGHT_INITIALIZERS.register_module()
class InputScaleInit:
    """Divide a layer's initial weights by the standard deviations of its inputs.

    mmdet3d and OpenPCDet feed metres and reflectance without normalisation. With equal initial
    weights, x and y of tens of metres dominate height and intensity in the first layer, and AdamW,
    which moves all weights alike, keeps it so. Channels with ``None`` are left out: their
    weights are zero and have no gradient, so the pretrained network ignores them. In a downstream
    network with the same parameters they start at zero and are trained like all others.

    Args:
        layer: Name of the layer; its weight has the input channels last, as in spconv.
        std: Rough standard deviation of each input channel; ``None`` leaves it out.

    Raises:
        AttributeError: If the module has no such layer.
        ValueError: If the layer has another number of inputs.
    """

    def __init__(self, layer: str, std: Sequence[float | None]) -> None:
        self.layer = layer
        self.std = tuple(std)

    def __call__(self, module: nn.Module) -> None:
        """Scale the weights that a fresh module has."""
        weight = module.get_submodule(self.layer).weight
        if weight.shape[-1] != len(self.std):
            raise ValueError(
                f'InputScaleInit: {type(module).__name__}.{self.layer} has {weight.shape[-1]} '
                f'inputs, but std has {len(self.std)} values.')
        factor = weight.new_tensor([1 / one if one else 0. for one in self.std])
        with torch.no_grad():
            weight *= factor
        used = tuple(float(bool(one)) for one in self.std)
        weight.register_hook(lambda grad: grad * constant(used, grad.dtype, grad.device))
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=f'InputScaleInit: {self.layer} over {self.std}')
