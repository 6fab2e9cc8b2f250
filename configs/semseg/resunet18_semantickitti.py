"""ResUNet-18 on SemanticKITTI, 0.05 m voxels; see minkunet34_semantickitti.py."""
_base_ = ['./minkunet34_semantickitti.py']
model = dict(
    backbone=dict(
        _delete_=True, type='SplitResUNet', encoder_blocks=(2, 2, 2, 2),
        init_cfg=_base_.model.backbone.init_cfg))
