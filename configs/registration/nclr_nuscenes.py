"""NCLR on nuScenes by the registration protocol, beside CrossI2P."""
_base_ = [
    '../_base_/models/nclr_minkunet34.py', '../_base_/datasets/nuscenes_i2p.py',
    '../_base_/schedules/crossi2p_100e_nuscenes.py', '../_base_/default_runtime.py'
]

# model settings
# One sample a step: the statistics of BatchNorm are those of the scan at hand, in evaluation too.
model = dict(
    data_preprocessor=dict(voxel_size=(0.1, 0.1, 0.1), max_voxels=None),
    point_backbone=dict(batch_stats_in_eval=True))
