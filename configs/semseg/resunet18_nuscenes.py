"""ResUNet-18 on nuScenes-lidarseg, 0.1 m voxels; see minkunet34_nuscenes.py."""
_base_ = ['./minkunet34_nuscenes.py']
model = dict(
    backbone=dict(
        _delete_=True, type='SplitResUNet', encoder_blocks=(2, 2, 2, 2),
        init_cfg=_base_.model.backbone.init_cfg))
