"""Panoptic MinkUNet-34 trained on the mini set of nuScenes (paper, Table 5), evaluated on the full
validation set.

As minkunet34_nuscenes.py, and NCLR_NUSCENES_MINI_ROOT: the mini set with labels, and its infos by
mmdet3d's `tools/create_data.py nuscenes --version v1.0-mini`. Label fractions (`--fraction`) are
fractions of the mini set, by `tools/create_infos.py nuscenes`.
"""
_base_ = ['./minkunet34_nuscenes.py']

# dataset settings
train_dataloader = dict(
    dataset=dict(
        data_root='{{$NCLR_NUSCENES_MINI_ROOT:data/nuscenes-mini}}',
        data_prefix=dict(pts_semantic_mask='lidarseg/v1.0-mini')))
