# model settings
# MinkUNet-34 with a semantic and an instance head (paper, section 4.4); the loss weights are those
# of the baseline: cross-entropy 2, Lovasz 6, L1 of the offsets 1.
_base_ = './seg_minkunet34.py'

model = dict(
    type='PanopticMinkUNet',
    decode_head=dict(
        type='LovaszMinkUNetHead', loss_decode=dict(loss_weight=2.0), lovasz_weight=6.0),
    offset_head=dict(
        type='OffsetHead',
        channels=96,
        thing_classes=[0, 1, 2, 3, 4, 5, 6, 7],
        loss_offset=dict(type='mmdet.L1Loss', loss_weight=1.0)),
    # Mean shift: bandwidth in metres, and the smallest cluster that counts as an instance.
    test_cfg=dict(bandwidth=1.2, min_points=50))
