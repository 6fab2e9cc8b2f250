"""The image branch from torchvision, which OpenPCDet requires anyway."""
from __future__ import annotations

from typing import List, Optional, Sequence

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from nclr_plugin.models.backbones import ResNetFPN
from nclr_plugin.utils.optional import optional_import


@MODELS.register_module()
class TorchvisionResNetFPN(ResNetFPN):
    """:class:`~nclr_plugin.models.backbones.ResNetFPN` without mmdet and mmcv.

    The same network of torchvision's parts; the encoder's ``state_dict`` keys are equal, those of
    the pyramid are torchvision's.

    Args:
        depth: 18, 34, 50, 101 or 152.
        out_indices, out_channels, weights, frozen: As there.
        num_groups: GroupNorm with so many groups in the encoder, which suits steps of one image;
            BatchNorm when ``None``.

    Raises:
        ImportError: torchvision is not installed.
    """

    def __init__(self,
                 depth: int = 50,
                 out_indices: Sequence[int] = (0, 1, 2, 3),
                 out_channels: int = 128,
                 weights: Optional[str] = None,
                 frozen: bool = False,
                 num_groups: Optional[int] = None,
                 init_cfg: Optional[dict] = None) -> None:
        BaseModule.__init__(self, init_cfg)  # the parent's would build mmdet's networks
        models = optional_import('torchvision.models', 'torchvision', 'TorchvisionResNetFPN')
        norm = None if num_groups is None else lambda channels: nn.GroupNorm(num_groups, channels)
        resnet = getattr(models, f'resnet{depth}')(weights=None, norm_layer=norm)
        expansion = 1 if depth < 50 else 4
        self.level_channels = tuple(64 * 2**index * expansion for index in out_indices)
        self.encoder = _Stages(resnet, out_indices)
        self.decoder = _Pyramid(self.level_channels, out_channels)
        self.bottleneck_channels = self.level_channels[-1]
        self.out_channels = out_channels
        self.weights = weights or None  # OpenPCDet's --set cannot say None
        self.frozen = frozen
        if frozen:
            self.encoder.requires_grad_(False)


class _Stages(nn.Sequential):
    """torchvision's ResNet up to the last stage asked for, under its own names."""

    def __init__(self, resnet: nn.Module, out_indices: Sequence[int]) -> None:
        super().__init__()
        self.outputs = [f'layer{index + 1}' for index in out_indices]
        for name, module in resnet.named_children():
            self.add_module(name, module)
            if name == self.outputs[-1]:
                break

    def forward(self, imgs: Tensor) -> List[Tensor]:
        """(V, 3, H, W) -> maps of the stages asked for."""
        maps = []
        for name, module in self.named_children():
            imgs = module(imgs)
            if name in self.outputs:
                maps.append(imgs)
        return maps


class _Pyramid(nn.Module):
    """torchvision's feature pyramid; only its finest level is computed to the end."""

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        ops = optional_import('torchvision.ops', 'torchvision', 'TorchvisionResNetFPN')
        self.fpn = ops.FeaturePyramidNetwork(list(in_channels), out_channels)
        for level in range(1, len(in_channels)):
            self.fpn.layer_blocks[level] = nn.Identity()

    def forward(self, maps: List[Tensor]) -> List[Tensor]:
        """Maps from fine to coarse -> levels of ``out_channels``, from fine to coarse."""
        return list(self.fpn({str(level): x for level, x in enumerate(maps)}).values())
