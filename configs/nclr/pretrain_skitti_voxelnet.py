"""NCLR pretraining of the detectors' VoxelNet on SemanticKITTI, 0.05 x 0.05 x 0.1 m voxels.

The range is cropped in the sensor's own frame, before the random shift and turn, as everywhere in
this project, and reaches as far to all sides. Measured on 40 real frames, ten placements each:
95% (KITTI object frames) and 99% (an odometry drive) of the points that the camera sees are kept,
89.9% in the worst frame. Cropped after the placement to the detectors' own range, ahead of the
sensor, 50% and 53% would be, and in one placement of ten none. The limits of height are the
detectors', whose encoder merges heights. Of the 65,000 to 80,000 voxels of these scans training
sees a random 60,000, the paper's limit.
"""
_base_ = [
    '../_base_/models/nclr_voxelnet.py', '../_base_/datasets/skitti.py',
    '../_base_/schedules/adamw_cosine_30k.py', '../_base_/default_runtime.py'
]
# One GPU, steps of 8 scans; 50 epochs of SemanticKITTI's 19,130 training scans.
train_dataloader = dict(batch_size=8)
train_cfg = dict(max_iters=119500, num_samples=119500 * 8, val_interval=8000)
auto_scale_lr = dict(base_batch_size=8)
