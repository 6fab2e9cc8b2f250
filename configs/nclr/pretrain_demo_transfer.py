"""pretrain_demo.py for weights to be fine-tuned: a second loss without positions is added."""
_base_ = ['./pretrain_demo.py']

model = dict(
    point_backbone=dict(
        init_cfg=dict(type='InputSpread', layer='conv_input.0.0', spread=(None, None, 1., 0.3))),
    content_head=dict(type='ContentHead'))
