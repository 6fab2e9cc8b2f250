"""ResUNet-18 on SemanticPOSS, 0.05 m voxels; see minkunet34_semanticposs.py."""
_base_ = ['./minkunet34_semanticposs.py']
model = dict(
    backbone=dict(
        _delete_=True, type='SplitResUNet', encoder_blocks=(2, 2, 2, 2),
        init_cfg=_base_.model.backbone.init_cfg))
