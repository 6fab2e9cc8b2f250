"""Backbones and what published code calls their tensors."""
import pytest
import torch
from torch import nn


@pytest.fixture
def minkunet():
    """Builds mmdet3d's MinkUNetBackbone on spconv with random weights and statistics."""
    backbones = pytest.importorskip('mmdet3d.models.backbones')

    def build(width=8, blocks=2, seed=0, **kwargs):
        net = backbones.MinkUNetBackbone(
            base_channels=width, encoder_channels=[width, 2 * width, 3 * width, 4 * width],
            encoder_blocks=[blocks] * 4, decoder_channels=[4 * width, 3 * width, 2 * width, width],
            sparseconv_backend='spconv', **kwargs)
        return randomise(net, seed)

    return build


@pytest.fixture
def spvcnn(minkunet):
    """Builds a MinkUNet with the tensors of SPVCNN's point branch."""

    def build(seed=0):
        net = minkunet(seed=seed)
        net.point_transforms = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32)) for _ in range(3))
        return net

    return build


@pytest.fixture
def sparse_encoder():
    """Builds mmdet3d's SparseEncoder, the one of its SECOND on KITTI."""
    encoders = pytest.importorskip('mmdet3d.models.middle_encoders')

    def build(seed=0, **kwargs):
        return randomise(encoders.SparseEncoder(4, [41, 1600, 1408], **kwargs), seed)

    return build


@pytest.fixture
def residual_encoder(sparse_encoder):
    """Builds the one of its CenterPoint."""

    def build(seed=0, first_stage=(16, 16, 32)):
        return sparse_encoder(
            seed, block_type='basicblock',
            encoder_channels=(first_stage, (32, 32, 64), (64, 64, 128), (128, 128)),
            encoder_paddings=((0, ) * (len(first_stage) - 1) + (1, ), (0, 0, 1), (0, 0, [0, 1, 1]),
                              (0, 0)))

    return build


def randomise(net, seed):
    """Different values for every tensor, so that a swapped pair is seen."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        else:
            tensor.fill_(seed)
    return net


def flat_kernel(weight, minkowski):
    """Write a spconv 2 kernel as TorchSparse 1.4 or MinkowskiEngine stores it, offset by offset."""
    c_out, size, _, _, c_in = weight.shape
    if size == 1:
        return weight.reshape(c_in, c_out)
    axis = range(size)
    order = [(x, y, z) for z in axis for y in axis for x in axis] if minkowski or size % 2 else \
        [(x, y, z) for x in axis for y in axis for z in axis]
    return torch.stack([weight[:, x, y, z].T for x, y, z in order])


def _published(net, minkowski=False):
    """A MinkUNet's or SPVCNN's tensors as SPVNAS and its descendants name and store them.

    stem.{0,1,3,4}, stage1..4.{0}.net.{0,1}, stage1..4.{1..}.net.{0,1,3,4} and .downsample.{0,1},
    up1..4.0.net, up1..4.1.{0..}; convolutions have a kernel, MinkowskiEngine's norms a bn.
    """
    inside = {'conv1': '0', 'bn1': '1', 'conv2': '3', 'bn2': '4'}
    state = {}
    for name, tensor in net.state_dict().items():
        path, last = name.rsplit('.', 1)
        parts = path.split('.')
        if parts[0] == 'conv_input':
            path = f'stem.{3 * int(parts[1]) + int(parts[2])}'
        elif parts[0] in ('encoder', 'decoder'):
            head = f"{dict(encoder='stage', decoder='up')[parts[0]]}{int(parts[1]) + 1}"
            *middle, layer = parts[2:]
            if layer in inside:
                path = '.'.join([head, *middle, 'net', inside[layer]])
            elif 'downsample' in middle:
                path = '.'.join([head, *middle, layer])
            else:
                path = '.'.join([head, *middle, 'net', layer])
        if tensor.dim() == 5:
            last, tensor = 'kernel', flat_kernel(tensor, minkowski)
        elif minkowski and not path.startswith('point_transforms'):
            last = f'bn.{last}'
        state[f'{path}.{last}'] = tensor
    return state


def _equal(one, other):
    """Whether two networks hold the same tensors under the same names."""
    one, other = one.state_dict(), other.state_dict()
    return list(one) == list(other) and all(torch.equal(one[k], other[k]) for k in one)


def _openpcdet_voxel_backbone():
    """Names and shapes of OpenPCDet's VoxelBackBone8x on spconv 2, as its source has them."""
    layers = {'conv_input': (4, 16), 'conv1.0': (16, 16), 'conv_out': (64, 128)}
    for stage, c_in, c_out in ((2, 16, 32), (3, 32, 64), (4, 64, 64)):
        layers.update({f'conv{stage}.0': (c_in, c_out), f'conv{stage}.1': (c_out, c_out),
                       f'conv{stage}.2': (c_out, c_out)})
    shapes = {}
    for layer, (c_in, c_out) in layers.items():
        size = (3, 1, 1) if layer == 'conv_out' else (3, 3, 3)
        shapes[f'{layer}.0.weight'] = (c_out, *size, c_in)
        shapes.update({f'{layer}.1.{name}': (c_out, )
                       for name in ('weight', 'bias', 'running_mean', 'running_var')})
        shapes[f'{layer}.1.num_batches_tracked'] = ()
    return shapes


def _openpcdet_residual_names():
    """Names of OpenPCDet's VoxelResBackBone8x, as its source has them, biases by default."""
    norm = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
    layers = [(f'{layer}.0', f'{layer}.1')
              for layer in ('conv_input', 'conv2.0', 'conv3.0', 'conv4.0', 'conv_out')]
    names = [f'{conv}.weight' for conv, _ in layers]
    for block in ('1.0', '1.1', '2.1', '2.2', '3.1', '3.2', '4.1', '4.2'):
        for i in (1, 2):
            layers.append((f'conv{block}.conv{i}', f'conv{block}.bn{i}'))
            names += [f'conv{block}.conv{i}.weight', f'conv{block}.conv{i}.bias']
    return names + [f'{layer}.{tensor}' for _, layer in layers for tensor in norm]


def _openpcdet_bev_names():
    """Names of OpenPCDet's BaseBEVBackbone with two blocks of five convolutions.

    A block is padding, convolution, norm, ReLU, then convolution, norm, ReLU five times.
    """
    norm = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
    names = []
    for block in (0, 1):
        for conv in range(1, 17, 3):
            names += [f'blocks.{block}.{conv}.weight']
            names += [f'blocks.{block}.{conv + 1}.{tensor}' for tensor in norm]
        names += [f'deblocks.{block}.0.weight'] + [f'deblocks.{block}.1.{t}' for t in norm]
    return names


@pytest.fixture
def published():
    return _published


@pytest.fixture
def equal():
    return _equal


@pytest.fixture
def openpcdet_shapes():
    return _openpcdet_voxel_backbone()


@pytest.fixture
def openpcdet_residual_names():
    return _openpcdet_residual_names()


@pytest.fixture
def openpcdet_bev_names():
    return _openpcdet_bev_names()


@pytest.fixture
def save(tmp_path):
    """Writes a checkpoint, and returns its path."""

    def write(state, entry='state_dict', prefix='', name='checkpoint.pth', **rest):
        named = {prefix + key: tensor for key, tensor in state.items()}
        torch.save({entry: named, **rest} if entry else named, tmp_path / name)
        return str(tmp_path / name)

    return write
