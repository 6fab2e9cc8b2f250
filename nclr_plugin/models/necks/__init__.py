"""Transformers between the modalities, superpoints and superpixels."""
from .coarse_transformer import CoarseTransformer
from .cross_modal_fusion import CrossModalFusion
from .superpoints import SuperpixelPyramid, SuperpointPooling

__all__ = ['CoarseTransformer', 'CrossModalFusion', 'SuperpixelPyramid', 'SuperpointPooling']
