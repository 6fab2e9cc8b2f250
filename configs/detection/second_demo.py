"""SECOND on the boxes of the demo world, 0.1 m voxels, 25.6 m ahead, minutes on a CPU.

NCLR_FRACTION, NCLR_CHECKPOINT (of `pretrain_demo_voxelnet.py`) as in the others; NCLR_KITTI_ROOT:
a demo world in KITTI's layout with the host's infos. As many steps for each label fraction: some
hundred, in which boxes are not learned where objects and scans are turned and stretched, as in the
host's schedule of many epochs. Cars alone are pasted: of the other classes a small fraction may have
no object.
"""
_base_ = ['./second_kitti.py']
point_cloud_range = [0, -12.8, -3, 25.6, 12.8, 1]

model = dict(
    data_preprocessor=dict(
        voxel_layer=dict(voxel_size=[0.1, 0.1, 0.1], point_cloud_range=point_cloud_range)),
    middle_encoder=dict(sparse_shape=[41, 256, 256]),
    backbone=dict(layer_nums=[2, 2]),
    bbox_head=dict(
        anchor_generator=dict(ranges=[
            [0, -12.8, height, 25.6, 12.8, height] for height in (-0.6, -0.6, -1.78)
        ])),
    # Few boxes: KITTI's evaluation is slow without a GPU.
    test_cfg=dict(score_thr=0.05, max_num=15))

train_pipeline = [
    step for step in _base_.train_pipeline
    if step['type'] not in ('ObjectNoise', 'GlobalRotScaleTrans')
]
for step in train_pipeline:
    if step['type'] == 'ObjectSample':
        step['db_sampler']['sample_groups'] = dict(Car=8, Pedestrian=0, Cyclist=0)
    if 'point_cloud_range' in step:
        step['point_cloud_range'] = point_cloud_range
test_pipeline = _base_.test_pipeline
test_pipeline[1]['transforms'][-1]['point_cloud_range'] = point_cloud_range
del step

train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=600, val_begin=601)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False)]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=200),
    logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)
