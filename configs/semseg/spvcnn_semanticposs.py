"""SPVCNN on SemanticPOSS, 0.05 m voxels; see minkunet34_semanticposs.py."""
_base_ = ['./resunet18_semanticposs.py']
model = dict(backbone=dict(type='SplitSPVCNN'))
