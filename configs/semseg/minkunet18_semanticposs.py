"""MinkUNet-18 on SemanticPOSS, 0.05 m voxels; see minkunet34_semanticposs.py."""
_base_ = ['./minkunet34_semanticposs.py']
model = dict(backbone=dict(encoder_blocks=[2, 2, 2, 2]))
