"""NCLR pretraining of the detectors' VoxelNet on the KITTI 3D object frames that they train on.

The range: see `nclr_voxelnet_semantickitti.py`.
"""
_base_ = [
    '../_base_/models/nclr_voxelnet.py', '../_base_/datasets/kitti.py',
    '../_base_/schedules/adamw_cosine_30k.py', '../_base_/default_runtime.py'
]

# schedule
# One GPU, steps of 8 scans; 50 epochs of 3,712 scans.
train_dataloader = dict(batch_size=8)
train_cfg = dict(max_iters=23200, num_samples=23200 * 8, val_interval=2000)
auto_scale_lr = dict(base_batch_size=8)
