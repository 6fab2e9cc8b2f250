"""Networks around OpenPCDet's sparse encoder: its decoder and the image branch."""
from __future__ import annotations

from typing import Any, Sequence

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..models.backbones.image_branch import ResNetBranch
from ..models.backbones.split_encoder import SplitEncoder
from ..utils.optional import optional_import

DOWN_PADDINGS = (1, 1, (0, 1, 1))  # of conv2, conv3, conv4


@MODELS.register_module()
class SplitVoxelBackBone8x(SplitEncoder, BaseModule):
    """Encoder/decoder split of OpenPCDet's ``VoxelBackBone8x`` or ``VoxelResBackBone8x``.

    The encoder belongs to the detector that built it, under the keys ``backbone_3d.*``. The
    ``state_dict`` of this module holds only the layers around the encoder.

    Args:
        encoder: OpenPCDet's encoder.
        in_channels: Channels of a voxel.
        intensity_scale, out_channels: See
            :meth:`~nclr_plugin.models.backbones.split_encoder.SplitEncoder.add_layers`.
    """

    def __init__(self,
                 encoder: nn.Module,
                 in_channels: int = 4,
                 intensity_scale: float = 1.,
                 out_channels: int = 96) -> None:
        super().__init__()
        self._encoder = (encoder, )  # a tuple, so that it is not registered a second time
        self.add_layers(
            in_channels=in_channels,
            level_channels=(*encoder.backbone_channels.values(), encoder.num_point_features),
            down_paddings=DOWN_PADDINGS,
            intensity_scale=intensity_scale,
            out_channels=out_channels)

    def encoder_steps(self) -> list[nn.Module]:
        """Return conv_input and conv1, conv2, conv3, conv4, conv_out."""
        encoder, = self._encoder
        names = ('conv_input', 'conv1', 'conv2', 'conv3', 'conv4', 'conv_out')
        return [getattr(encoder, name) for name in names]


@MODELS.register_module()
class TorchvisionResNetFPN(ResNetBranch):
    """:class:`~nclr_plugin.models.backbones.ResNetFPN` built from torchvision.

    OpenPCDet requires torchvision, but neither mmdet nor mmcv. The encoder's ``state_dict`` keys
    are those of ``ResNetFPN``, the pyramid's are torchvision's.

    Args:
        depth: Depth of the ResNet: 18, 34, 50, 101 or 152.
        out_indices, out_channels, weights, frozen: See ``ResNetFPN``.
        num_groups: Groups of GroupNorm in the encoder, for training on one image per step; ``None``
            uses BatchNorm.

    Raises:
        ImportError: If torchvision is not installed.
    """

    def __init__(self,
                 depth: int = 50,
                 out_indices: Sequence[int] = (0, 1, 2, 3),
                 out_channels: int = 128,
                 weights: str | None = None,
                 frozen: bool = False,
                 num_groups: int | None = None,
                 init_cfg: dict | None = None) -> None:
        # OpenPCDet's --set cannot pass None.
        super().__init__(weights or None, frozen, init_cfg)
        models = optional_import('torchvision.models', 'torchvision', 'TorchvisionResNetFPN')
        norm = None if num_groups is None else lambda channels: nn.GroupNorm(num_groups, channels)
        resnet = getattr(models, f'resnet{depth}')(weights=None, norm_layer=norm)
        expansion = 1 if depth < 50 else 4
        self.level_channels = tuple(64 * 2**index * expansion for index in out_indices)
        self.encoder = _Stages(resnet, out_indices)
        self.decoder = _Pyramid(self.level_channels, out_channels)
        self.bottleneck_channels = self.level_channels[-1]
        self.out_channels = out_channels
        if frozen:
            self.encoder.requires_grad_(False)


class _Stages(nn.Sequential):
    """torchvision's ResNet up to the last requested stage, with torchvision's module names."""

    def __init__(self, resnet: nn.Module, out_indices: Sequence[int]) -> None:
        super().__init__()
        self.outputs = [f'layer{index + 1}' for index in out_indices]
        for name, module in resnet.named_children():
            self.add_module(name, module)
            if name == self.outputs[-1]:
                break

    def forward(self, imgs: Tensor) -> list[Tensor]:
        """Map (V, 3, H, W) images to the feature maps of the requested stages."""
        maps = []
        for name, module in self.named_children():
            imgs = module(imgs)
            if name in self.outputs:
                maps.append(imgs)
        return maps


class _Pyramid(nn.Module):
    """torchvision's feature pyramid; only its finest level is smoothed."""

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        ops = optional_import('torchvision.ops', 'torchvision', 'TorchvisionResNetFPN')
        self.fpn = ops.FeaturePyramidNetwork(list(in_channels), out_channels)
        for level in range(1, len(in_channels)):
            self.fpn.layer_blocks[level] = nn.Identity()

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Map feature maps to pyramid levels of ``out_channels``, both from fine to coarse."""
        return list(self.fpn({str(level): x for level, x in enumerate(maps)}).values())


class LooseParameters(nn.Module):
    """Expose the parameters that OpenPCDet's optimizer would not find.

    Its ``adam_onecycle`` trains only the parameters of modules without submodules. The projection
    of an attention layer or the alignment matrix would keep their initial values. This module
    registers such parameters a second time, but adds nothing to the ``state_dict``.

    Args:
        module: Module to collect the parameters from.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        parameters = [parameter for part in module.modules()
                      if next(part.children(), None) is not None
                      for parameter in part.parameters(recurse=False)]
        for number, parameter in enumerate(parameters):
            self.register_parameter(str(number), parameter)

    def _save_to_state_dict(self, *args: Any) -> None:
        """Save nothing: the owners save their parameters."""

    def _load_from_state_dict(self, *args: Any) -> None:
        """Load nothing: the owners load their parameters."""
