"""nclr_minkunet_demo.py for weights to be fine-tuned: with a contrastive loss without positions."""
_base_ = ['./nclr_minkunet_demo.py']

# model settings
model = dict(
    point_backbone=dict(
        init_cfg=dict(type='InputScaleInit', layer='conv_input.0.0', std=(None, None, 1., 0.3))),
    position_free_head=dict(type='PositionFreeContrastiveHead'))
