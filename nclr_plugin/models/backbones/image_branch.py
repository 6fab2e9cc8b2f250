"""Image branches: their base, and mmdet's ResNet with a feature pyramid (paper, section 4.2)."""
from __future__ import annotations

import os.path as osp
from abc import abstractmethod
from typing import Sequence

from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ...checkpoints import PretrainedWeightsError, load_pretrained


class ImageBranch(BaseModule):
    """Base of the image branches: encoder and decoder, between which features are fused.

    A subclass sets ``encoder``, the pretrained part, ``level_channels`` of the maps of strides 4,
    8, 16, ..., ``bottleneck_channels``, those of the last one, and ``out_channels`` of the decoded
    map.

    Args:
        weights: Weights of the encoder; ``None``: random.
        frozen: Do not train the encoder.
    """

    stride = 4

    def __init__(self, weights: str | None, frozen: bool, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.weights = weights
        self.frozen = frozen

    def init_weights(self) -> None:
        """Initialise at random, then load ``weights`` if given."""
        super().init_weights()
        if self.weights is None:
            print_log('Image encoder: random weights (no `weights` given).', 'current')
        else:
            self.load_weights()

    @abstractmethod
    def load_weights(self) -> None:
        """Load ``weights`` into the encoder."""

    @abstractmethod
    def encode(self, imgs: Tensor) -> list[Tensor]:
        """Encode images (V, 3, H, W): maps of strides 4, 8, 16, ..., the last one to be fused."""

    @abstractmethod
    def decode(self, feats: list[Tensor]) -> Tensor:
        """Decode maps of :meth:`encode`, the last one fused: (V, out_channels, H / 4, W / 4)."""

    def forward(self, imgs: Tensor) -> Tensor:
        """Encode and decode without fusion."""
        return self.decode(self.encode(imgs))


class ResNetBranch(ImageBranch):
    """A ResNet with the names of torchvision, and a pyramid whose finest level is the result."""

    def load_weights(self) -> None:
        """Load ``weights``, of which the encoder may be a part."""
        if '://' not in self.weights and not osp.isfile(self.weights):
            raise FileNotFoundError(
                f'Image encoder weights "{self.weights}" not found. Give a file, a name such as '
                '"torchvision://resnet50", or None for random weights.')
        report = load_pretrained(self.encoder, self.weights, min_match=0.5)
        if report.missing or report.mismatched:
            raise PretrainedWeightsError(f'Image encoder: {report.summary()}\nexpected each of its '
                                         'tensors; give weights of a ResNet of this depth')

    def train(self, mode: bool = True) -> ResNetBranch:
        """Set the mode of all but a frozen encoder, which stays in evaluation."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def encode(self, imgs: Tensor) -> list[Tensor]:
        """Encode images; see the base class."""
        return list(self.encoder(imgs))

    def decode(self, feats: list[Tensor]) -> Tensor:
        """Decode maps; see the base class."""
        return self.decoder(feats)[0]


@MODELS.register_module()
class ResNetFPN(ResNetBranch):
    """ResNet encoder and FPN decoder, split so that features are fused in between.

    Args:
        depth: 18, 34, 50, 101 or 152.
        base_channels: Width of the first stage (64 in a standard ResNet).
        out_indices: Stages that enter the pyramid; the last one is fused.
        out_channels: Channels of the stride-4 map.
        weights: Weights of the encoder: a file, a URL, or a name that mmengine's loader knows
            (``torchvision://resnet50``, ``open-mmlab://...``). The network may be a part of it;
            further stages and a classifier are ignored. ``None``: random.
        frozen: Do not train the encoder; its BatchNorm uses the stored statistics.
        norm_cfg: Normalisation of the encoder, BatchNorm by default; GroupNorm suits steps of one
            image.

    Raises:
        FileNotFoundError: If ``weights`` is a path that does not exist.
        PretrainedWeightsError: If ``weights`` lacks tensors of the encoder, has others or cannot
            be reached (no network, no torchvision).
    """

    def __init__(self,
                 depth: int = 50,
                 base_channels: int = 64,
                 out_indices: Sequence[int] = (0, 1, 2, 3),
                 out_channels: int = 128,
                 weights: str | None = None,
                 frozen: bool = False,
                 norm_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(weights, frozen, init_cfg)
        self.encoder = MODELS.build(
            dict(
                type='mmdet.ResNet',
                depth=depth,
                base_channels=base_channels,
                stem_channels=base_channels,
                num_stages=out_indices[-1] + 1,
                strides=(1, 2, 2, 2)[:out_indices[-1] + 1],
                dilations=(1, ) * (out_indices[-1] + 1),
                out_indices=tuple(out_indices),
                norm_cfg=norm_cfg or dict(type='BN'),
                norm_eval=frozen,
                style='pytorch'))
        expansion = 1 if depth < 50 else 4
        channels = [base_channels * 2**i * expansion for i in out_indices]
        self.decoder = MODELS.build(
            dict(
                type='mmdet.FPN',
                in_channels=channels,
                out_channels=out_channels,
                num_outs=len(channels)))
        # Only the finest level is used: the other output convolutions would be dead weight.
        for level in range(1, len(channels)):
            self.decoder.fpn_convs[level] = nn.Identity()
        self.level_channels = tuple(channels)
        self.bottleneck_channels = channels[-1]
        self.out_channels = out_channels
        if frozen:
            self.encoder.requires_grad_(False)
