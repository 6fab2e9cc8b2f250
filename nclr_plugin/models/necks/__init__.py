"""Transformers between the modalities, superpoints and superpixels."""
from .superpoints import CoarseTransformer, SuperpixelPyramid, SuperpointPooling
from .cross_modal_fusion import CrossModalFusion

__all__ = ['CoarseTransformer', 'CrossModalFusion', 'SuperpixelPyramid', 'SuperpointPooling']
