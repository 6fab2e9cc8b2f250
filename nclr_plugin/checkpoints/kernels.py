"""Convert kernels of sparse-convolution libraries to spconv 2's layout, and adapt stems.

Every library here computes a cross-correlation, ``out[p] = sum_o W[o] in[stride * p + o]``; they
differ in the layout of ``W``:

========================  ==============================  ======================================
library                   shape                           order of the offsets
========================  ==============================  ======================================
spconv 2                  ``(C_out, K1, K2, K3, C_in)``   one axis per index column (x, y, z in
                                                          mmdet3d's segmentors; z, y, x in the
                                                          detectors of mmdet3d and OpenPCDet)
spconv 1 (also in mmcv)   ``(K1, K2, K3, C_in, C_out)``   the same
MinkowskiEngine 0.5       ``(K^3, C_in, C_out)``          x fastest
TorchSparse 1.4           ``(K^3, C_in, C_out)``          odd sizes: x fastest; even sizes: z
                                                          fastest
========================  ==============================  ======================================

The last two store kernels of one voxel as ``(C_in, C_out)``. spconv 2 reads the memory of such a
kernel as ``(C_in, C_out)``, regardless of its shape.
"""
from __future__ import annotations

import re
from typing import Sequence

import torch
from torch import Tensor

TORCHSPARSE = 'TorchSparse'
MINKOWSKI = 'MinkowskiEngine'
STEM = 'conv_input.0.0.weight'
_INPUTS = {1: ('intensity', slice(3, 4)), 3: ('x, y, z', slice(0, 3))}
_FIRST, _SECOND = 'conv_input.0.', 'conv_input.1.'
_NORMAL = torch.distributions.Normal(0., 1.)


def to_spconv2(kernel: Tensor, library: str) -> Tensor:
    """Convert the kernel of another library to spconv 2's layout.

    Args:
        kernel: (K1, K2, K3, C_in, C_out) of spconv 1; (K^3, C_in, C_out) of the two others, or
            (C_in, C_out) for a kernel of one voxel.
        library: Library of such a kernel: ``'TorchSparse'`` or ``'MinkowskiEngine'``.

    Returns:
        (C_out, K1, K2, K3, C_in); the spatial axes of the two others become x, y, z.

    Raises:
        ValueError: If the number of offsets is not a cube.
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


def fit_to_shape(tensor: Tensor, shape: Sequence[int], library: str) -> Tensor | None:
    """Convert a tensor to the shape of the model's, if a kernel layout explains the difference.

    Args:
        tensor: Tensor of a checkpoint.
        shape: Shape of the model's tensor of the same name.
        library: See :func:`to_spconv2`.

    Returns:
        The same tensor if the shapes agree, a kernel converted to spconv 2's layout, or ``None`` if
        width or kernel size differ.
    """
    if tensor.shape == tuple(shape):
        return tensor
    if len(shape) == 5 and tensor.dim() in (2, 3, 5):
        volume = shape[1] * shape[2] * shape[3]
        if tensor.shape[:-2].numel() == volume and tensor.shape[-2:] == (shape[4], shape[0]):
            kernel = to_spconv2(tensor, library)
            return kernel if kernel.shape == tuple(shape) else None
    return None


def fold_biases(state: dict[str, Tensor]) -> None:
    """Subtract biases from the running means of the following norms, in place.

    The residual blocks of OpenPCDet have biases before their norms, those of mmdet3d have none.

    Args:
        state: Tensors of a point backbone by mmdet3d's names.
    """
    for name in list(state):
        mean = re.sub(r'^(encoder_layers\..*\.)conv(\d)\.bias$', r'\1bn\2.running_mean', name)
        if mean != name and mean in state:
            state[mean] = state[mean] - state.pop(name)


def looks_like_spconv1(kernel: Tensor) -> bool:
    """Return whether a kernel has the layout of spconv 1, without comparing it with a model.

    Its first axis is then a kernel size, at most 7; no published network has so few output
    channels.
    """
    return kernel.dim() == 5 and kernel.shape[0] <= 7


def widen_input(kernel: Tensor, shape: Sequence[int],
                library: str) -> tuple[Tensor | None, str]:
    """Extend the first kernel to the inputs x, y, z and intensity, if it has fewer.

    The input of the published networks of NCLR, BEVContrast and ALSO is the intensity in 0..1, that
    of SegContrast x, y, z or all four. With zeros for the other inputs, the wider kernel computes
    the same.

    Args:
        kernel: Kernel of the checkpoint, in any layout.
        shape: (C_out, K, K, K, 4), of spconv 2.
        library: See :func:`to_spconv2`.

    Returns:
        Kernel of this shape and words for the report; ``None`` if the inputs are unknown.
    """
    if shape[-1] == 4:
        for channels, (inputs, where) in _INPUTS.items():
            narrow = fit_to_shape(kernel, (*shape[:-1], channels), library)
            if narrow is not None:
                wide = kernel.new_zeros(tuple(shape))
                wide[..., where] = narrow
                return wide, f'{STEM} ({channels} of 4 input channels: {inputs}; the others are 0)'
    return None, ''


def second_stem_layer(state: dict[str, Tensor], eps: float = 1e-5) -> dict[str, Tensor]:
    """Return an identity as the second layer of the stem.

    The stem of the published MinkUNet34 of NCLR, BEVContrast and ALSO has one convolution, that of
    mmdet3d two. The kernel of the second is 1 at its centre, and its norm undoes its own
    normalisation: exactly with stored statistics, approximately with those of a batch, because the
    first norm and ReLU return a normal distribution that is cut at 0.

    Args:
        state: Tensors of a point backbone by mmdet3d's names.
        eps: ``eps`` of the norm.

    Returns:
        Tensors ``conv_input.1.*``; empty if these exist, or if there is no first layer.
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
