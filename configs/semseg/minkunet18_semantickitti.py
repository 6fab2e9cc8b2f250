"""MinkUNet-18 on SemanticKITTI, 0.05 m voxels; see minkunet34_semantickitti.py."""
_base_ = ['./minkunet34_semantickitti.py']
model = dict(backbone=dict(encoder_blocks=[2, 2, 2, 2]))
