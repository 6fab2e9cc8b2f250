"""NCLR pretraining of SECOND's VoxelNet on nuScenes, six cameras, 0.05 x 0.05 x 0.1 m voxels.

For detectors with voxels of this size and four channels; `nclr_centerpoint_nuscenes.py` is for
CenterPoint. For the range see `nclr_voxelnet_semantickitti.py`. Its heights, -3..1 m, are those
of such detectors, whose encoder merges exactly these 40 layers of voxels. Much above them is lost:
on a real frame 75% of the points in view of a camera are kept (72% to 78% in each of the six);
CenterPoint's -5..3 m keep 88% (80% to 96%).
"""
_base_ = [
    '../_base_/models/nclr_voxelnet.py', '../_base_/datasets/nuscenes.py',
    '../_base_/schedules/adamw_cosine_30k.py', '../_base_/default_runtime.py'
]

# schedule
# 50 epochs of 28,130 key frames in steps of 16.
train_cfg = dict(max_iters=88000, num_samples=88000 * 16, val_interval=4000)
auto_scale_lr = dict(base_batch_size=16)
