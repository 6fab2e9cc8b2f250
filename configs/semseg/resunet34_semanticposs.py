"""ResUNet-34 on SemanticPOSS, 0.05 m voxels; see minkunet34_semanticposs.py."""
_base_ = ['./resunet18_semanticposs.py']
model = dict(backbone=dict(encoder_blocks=(2, 3, 4, 6)))
