# model settings
# The sparse encoder of SECOND and PV-RCNN; everything else as with MinkUNet.
_base_ = ['./nclr_minkunet34.py']
model = dict(
    data_preprocessor=dict(voxel_size=(0.05, 0.05, 0.1), max_voxels=60000),
    point_backbone=dict(_delete_=True, type='SplitSparseEncoder', in_channels=4))
