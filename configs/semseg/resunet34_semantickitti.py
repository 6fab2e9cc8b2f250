"""ResUNet-34 on SemanticKITTI, 0.05 m voxels; see minkunet34_semantickitti.py."""
_base_ = ['./resunet18_semantickitti.py']
model = dict(backbone=dict(encoder_blocks=(2, 3, 4, 6)))
