"""NCLR pretraining of MinkUNet-18 on SemanticKITTI, 0.05 m voxels."""
_base_ = ['./nclr_minkunet34_semantickitti.py']
model = dict(point_backbone=dict(encoder_blocks=(2, 2, 2, 2)))
