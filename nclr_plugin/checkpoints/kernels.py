"""How sparse-convolution libraries store a kernel, and the way to spconv 2's layout.

Every library here computes a cross-correlation, ``out[p] = sum_o W[o] in[stride * p + o]``; they
differ in how ``W`` is laid out:

========================  ==============================  ======================================
library                   shape                           order of the offsets
========================  ==============================  ======================================
spconv 2                  ``(C_out, K1, K2, K3, C_in)``   one axis per index column (x, y, z in
                                                          mmdet3d's segmentors; z, y, x in the
                                                          detectors of both hosts)
spconv 1 (also in mmcv)   ``(K1, K2, K3, C_in, C_out)``   the same
MinkowskiEngine 0.5       ``(K^3, C_in, C_out)``          x fastest
TorchSparse 1.4           ``(K^3, C_in, C_out)``          odd sizes: x fastest; even sizes: z
                                                          fastest
========================  ==============================  ======================================

Kernels of one voxel are stored as ``(C_in, C_out)`` by the last two, and spconv 2 multiplies by
them as if their memory were ``(C_in, C_out)``, whatever their shape says.
"""
from __future__ import annotations

import re
from typing import Dict, Optional, Sequence, Tuple

import torch
from torch import Tensor

TORCHSPARSE = 'TorchSparse'
MINKOWSKI = 'MinkowskiEngine'


def to_spconv2(kernel: Tensor, library: str) -> Tensor:
    """Turn the kernel of another library into spconv 2's layout.

    Args:
        kernel: (K1, K2, K3, C_in, C_out) of spconv 1; (K^3, C_in, C_out) of the two others, or
            (C_in, C_out) for a kernel of one voxel.
        library: Which of the two others: ``'TorchSparse'`` or ``'MinkowskiEngine'``.

    Returns:
        (C_out, K1, K2, K3, C_in); the spatial axes of the two others are x, y, z.

    Raises:
        ValueError: The number of offsets is no cube.
    """
    c_in, c_out = kernel.shape[-2:]
    offsets = kernel.shape[:-2].numel()
    if offsets == 1:
        return kernel.reshape(c_out, 1, 1, 1, c_in)
    if kernel.dim() == 5:
        return kernel.permute(4, 0, 1, 2, 3)
    size = round(offsets**(1 / 3))
    if kernel.dim() != 3 or size**3 != offsets:
        raise ValueError(f'expected a cubic kernel (K^3, C_in, C_out), found {tuple(kernel.shape)}')
    cube = kernel.reshape(size, size, size, c_in, c_out)
    x_fastest = library == MINKOWSKI or size % 2
    return cube.permute(4, 2, 1, 0, 3) if x_fastest else cube.permute(4, 0, 1, 2, 3)


def fit_to_shape(tensor: Tensor, shape: Sequence[int], library: str) -> Optional[Tensor]:
    """Bring a tensor to the shape that a model has, if a layout explains the difference.

    Args:
        tensor: From a checkpoint.
        shape: Shape of the model's tensor of the same name.
        library: As of :func:`to_spconv2`.

    Returns:
        The tensor itself where the shapes agree, a kernel of another library in the layout of
        spconv 2, or ``None``: another width or another kernel size.
    """
    if tensor.shape == tuple(shape):
        return tensor
    if len(shape) == 5 and tensor.dim() in (2, 3, 5):
        volume = shape[1] * shape[2] * shape[3]
        if tensor.shape[:-2].numel() == volume and tensor.shape[-2:] == (shape[4], shape[0]):
            kernel = to_spconv2(tensor, library)
            return kernel if kernel.shape == tuple(shape) else None
    return None


def fold_biases(state: Dict[str, Tensor]) -> None:
    """Subtract biases from the means of the norms behind them, in place.

    The residual blocks of OpenPCDet have biases before their norms, those of mmdet3d have none.

    Args:
        state: A point backbone in mmdet3d's names.
    """
    for name in list(state):
        mean = re.sub(r'^(encoder_layers\..*\.)conv(\d)\.bias$', r'\1bn\2.running_mean', name)
        if mean != name and mean in state:
            state[mean] = state[mean] - state.pop(name)


def looks_like_spconv1(kernel: Tensor) -> bool:
    """Whether a five-dimensional kernel begins with three sizes instead of the output channels.

    For files without a model at hand. Kernels are at most 7 wide and no published network has so
    few output channels.
    """
    return kernel.dim() == 5 and kernel.shape[0] <= 7


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
        library: As of :func:`~nclr_plugin.checkpoints.kernels.to_spconv2`.

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
