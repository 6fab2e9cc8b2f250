"""ResUNet-34 on nuScenes-lidarseg, 0.1 m voxels; see minkunet34_nuscenes.py."""
_base_ = ['./resunet18_nuscenes.py']
model = dict(backbone=dict(encoder_blocks=(2, 3, 4, 6)))
