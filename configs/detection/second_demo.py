"""SECOND on the boxes of the demo world, 0.1 m voxels, 25.6 m ahead, minutes on a CPU.

NCLR_KITTI_ROOT: a demo world in KITTI's layout with mmdet3d's infos. `--fraction` and
`--checkpoint` (of `nclr_voxelnet_demo.py`) as in second_kitti.py. Every label fraction trains
for the same number of steps: a few hundred, too few to learn boxes if objects and scans are turned
and stretched as in mmdet3d's long schedule. Only cars are pasted: a small fraction may have no
object of the other classes.
"""
_base_ = ['./second_kitti.py']
point_cloud_range = [0, -12.8, -3, 25.6, 12.8, 1]

# model settings
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

# dataset settings
load = dict(type='LoadPointsFromFile', coord_type='LIDAR', load_dim=4, use_dim=4)
labels = dict(type='LoadAnnotations3D', with_bbox_3d=True, with_label_3d=True)
paste = dict(
    type='ObjectSample',
    db_sampler=dict(_base_.db_sampler, sample_groups=dict(Car=8, Pedestrian=0, Cyclist=0)))
crop = dict(type='PointsRangeFilter', point_cloud_range=point_cloud_range)
crop_boxes = dict(type='ObjectRangeFilter', point_cloud_range=point_cloud_range)
augment = [paste, dict(type='RandomFlip3D', flip_ratio_bev_horizontal=0.5)]
pack = [
    dict(type='PointShuffle'),
    dict(type='Pack3DDetInputs', keys=['points', 'gt_bboxes_3d', 'gt_labels_3d']),
]
# The wrapper in which mmdet3d's detectors take a scan for testing: it changes nothing.
unaugmented = dict(
    type='MultiScaleFlipAug3D',
    img_scale=(1333, 800),
    pts_scale_ratio=1,
    flip=False,
    transforms=[
        dict(
            type='GlobalRotScaleTrans',
            rot_range=[0, 0],
            scale_ratio_range=[1., 1.],
            translation_std=[0, 0, 0]),
        dict(type='RandomFlip3D'),
    ])
pack_points = dict(type='Pack3DDetInputs', keys=['points'])
train_pipeline = [load, labels, *augment, crop, crop_boxes, *pack]
test_pipeline = [
    load, dict(unaugmented, transforms=[*unaugmented['transforms'], crop]), pack_points]

train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

# schedule
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=600, val_begin=601)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False)]

# runtime settings
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=200),
    logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)
