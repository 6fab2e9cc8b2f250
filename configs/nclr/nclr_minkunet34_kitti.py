"""NCLR pretraining of MinkUNet-34 on the KITTI 3D object frames, 0.05 m voxels."""
_base_ = [
    '../_base_/models/nclr_minkunet34.py', '../_base_/datasets/kitti.py',
    '../_base_/schedules/adamw_cosine_30k.py', '../_base_/default_runtime.py'
]

# schedule
# 50 epochs of 3,712 scans in steps of 32.
train_cfg = dict(max_iters=5800, num_samples=5800 * 32, val_interval=1000)
