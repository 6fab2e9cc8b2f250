"""The backbone of configs/nclr/pretrain_demo.py on the demo world's labels, minutes on a CPU.

NCLR_FRACTION, NCLR_CHECKPOINT as in the others; NCLR_DEMO_ROOT.
"""
_base_ = ['./minkunet34_semantickitti.py', '../_base_/models/demo_backbone.py']
data_root = '{{$NCLR_DEMO_ROOT:data/demo}}'

model = dict(
    data_preprocessor=dict(voxel_layer=dict(voxel_size=[0.5, 0.5, 0.5])),
    backbone=dict(
        _delete_=True,
        **_base_.pop('demo_backbone'),
        init_cfg=_base_.model.backbone.init_cfg),
    decode_head=dict(channels=32),
    offset_head=dict(channels=32))
# A scan has fewer points than a sample of them.
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'PointSample']
train_dataloader = dict(
    batch_size=2, num_workers=1, dataset=dict(data_root=data_root, pipeline=train_pipeline))
optim_wrapper = dict(
    optimizer=dict(lr=float('{{$NCLR_LR:0.004}}')),
    clip_grad=dict(max_norm=10.),
    accumulative_counts=1)
val_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))
test_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))
