# model settings
# The backbone of configs/nclr/nclr_minkunet_demo.py, voxels of 0.5 m.
_base_ = ['./seg_minkunet34.py', './demo_parts.py']

model = dict(
    data_preprocessor=dict(voxel_layer=dict(voxel_size=[0.5, 0.5, 0.5])),
    backbone=_base_.demo_seg_backbone,
    decode_head=dict(channels=32))
