"""NCLR pretraining of MinkUNet-34 on nuScenes, six cameras, 0.1 m voxels (paper, section 4.2).

4 GPUs: torchrun --nproc_per_node 4 tools/train.py configs/nclr/nclr_minkunet34_nuscenes.py \
    --launcher pytorch --amp
"""
_base_ = [
    '../_base_/models/nclr_minkunet34.py', '../_base_/datasets/nuscenes.py',
    '../_base_/schedules/adamw_cosine_30k.py', '../_base_/default_runtime.py'
]

# model settings
model = dict(
    data_preprocessor=dict(voxel_size=(0.1, 0.1, 0.1)),
    num_voxels=8192)  # each counts in six views

# schedule
# 50 epochs of 28,130 key frames in steps of 16.
train_cfg = dict(max_iters=88000, num_samples=88000 * 16, val_interval=4000)
auto_scale_lr = dict(base_batch_size=16)
