"""NCLR pretraining of the detectors' VoxelNet on SemanticKITTI, 0.05 x 0.05 x 0.1 m voxels.

The range is cropped in the sensor's own frame, before the random rigid transform, as in all
configs, and is the same to all sides. On 40 real frames with ten transforms each it keeps 95%
(KITTI object frames) and 99% (an odometry drive) of the points in view of the camera, 89.9% in the
worst frame. The detectors' own range, ahead of the sensor, cropped after the transform, would keep
50% and 53%, and none for one transform in ten. The height limits are the detectors', whose encoder
merges heights. These scans have 65,000 to 80,000 voxels; training uses a random 60,000, the paper's
limit.
"""
_base_ = [
    '../_base_/models/nclr_voxelnet.py', '../_base_/datasets/semantickitti.py',
    '../_base_/schedules/adamw_cosine_30k.py', '../_base_/default_runtime.py'
]

# schedule
# One GPU, steps of 8 scans; 50 epochs of SemanticKITTI's 19,130 training scans.
train_dataloader = dict(batch_size=8)
train_cfg = dict(max_iters=119500, num_samples=119500 * 8, val_interval=8000)
auto_scale_lr = dict(base_batch_size=8)
