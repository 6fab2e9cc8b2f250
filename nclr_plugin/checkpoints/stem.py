"""The stem of published MinkUNets and SPVCNNs: fewer input channels, one convolution."""
from __future__ import annotations

from typing import Dict, Optional, Sequence, Tuple

import torch
from torch import Tensor

from .layouts import fit_to_shape

STEM = 'conv_input.0.0.weight'
_INPUTS = {1: ('intensity', slice(3, 4)), 3: ('x, y, z', slice(0, 3))}
_FIRST, _SECOND = 'conv_input.0.', 'conv_input.1.'
_NORMAL = torch.distributions.Normal(0., 1.)


def widen_input(kernel: Tensor, shape: Sequence[int],
                library: str) -> Tuple[Optional[Tensor], str]:
    """Write the first kernel for x, y, z and intensity, if it is for a part of them.

    The published networks of NCLR, BEVContrast and ALSO see the intensity only, in 0..1, that of
    SegContrast x, y, z or all four. With zeros for the inputs that it does not know, the wider
    kernel computes the same.

    Args:
        kernel: Kernel of the checkpoint, in any layout.
        shape: (C_out, K, K, K, 4), of spconv 2.
        library: As of :func:`~nclr_plugin.checkpoints.layouts.to_spconv2`.

    Returns:
        The kernel of this shape and words for the report; ``None`` if it is for no such part.
    """
    if shape[-1] == 4:
        for channels, (inputs, where) in _INPUTS.items():
            narrow = fit_to_shape(kernel, (*shape[:-1], channels), library)
            if narrow is not None:
                wide = kernel.new_zeros(tuple(shape))
                wide[..., where] = narrow
                return wide, f'{STEM} ({channels} of 4 input channels: {inputs}; the others are 0)'
    return None, ''


def second_stem_layer(state: Dict[str, Tensor], eps: float = 1e-5) -> Dict[str, Tensor]:
    """Write the layer that leaves the first one's output as it is.

    The published MinkUNet34 of NCLR, BEVContrast and ALSO has one convolution in its stem, mmdet3d
    has two. A kernel that is 1 at its centre does nothing, and neither does the norm behind it if
    it undoes its own normalisation: exactly with stored statistics, closely with those of a batch,
    as the output of the first norm and ReLU is that of a normal distribution cut at 0.

    Args:
        state: A point backbone in mmdet3d's names.
        eps: ``eps`` of the norm.

    Returns:
        The tensors ``conv_input.1.*``; nothing if there are any, or no first layer.
    """
    first = f'{_FIRST}1.weight' in state and f'{_FIRST}1.bias' in state
    if not first or any(name.startswith(_SECOND) for name in state):
        return {}
    std, mean = state[f'{_FIRST}1.weight'].double().abs(), state[f'{_FIRST}1.bias'].double()
    share = _NORMAL.cdf(mean / std.clamp(min=1e-12))
    density = _NORMAL.log_prob(mean / std.clamp(min=1e-12)).exp()
    cut_mean = std * density + mean * share
    variance = (mean**2 + std**2) * share + mean * std * density - cut_mean**2
    variance = variance.clamp(min=eps)
    kernel = torch.zeros(len(mean), 3, 3, 3, len(mean))
    kernel[:, 1, 1, 1] = torch.eye(len(mean))
    norm = dict(weight=(variance + eps).sqrt(), bias=cut_mean, running_mean=cut_mean,
                running_var=variance)
    return {f'{_SECOND}0.weight': kernel,
            **{f'{_SECOND}1.{name}': tensor.float() for name, tensor in norm.items()},
            f'{_SECOND}1.num_batches_tracked': torch.tensor(0)}
