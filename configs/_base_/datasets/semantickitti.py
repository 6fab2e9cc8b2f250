# dataset settings
# SemanticKITTI / KITTI odometry: DATA_ROOT/sequences/XX/{image_2,velodyne,calib.txt}
data_root = '{{$NCLR_SEMANTICKITTI_ROOT:data/semantickitti}}'

load = [dict(type='LoadPoints'), dict(type='LoadImages')]
crop = dict(type='CropPoints', point_cloud_range=[-51.2, -51.2, -3, 51.2, 51.2, 1])
rigid_transform = dict(
    type='RandomRigidTransform', yaw=3.141592653589793, translation=(15., 15., 0.))
resize = dict(type='ResizeImages', size=(512, 160))  # width, height
augment = [dict(type='RandomSceneFlip', prob=0.5), dict(type='ColorJitter')]
pack = dict(type='PackCalibrationInputs')
train_pipeline = [*load, crop, rigid_transform, resize, *augment, pack]
test_pipeline = [*load, crop, rigid_transform, resize, pack]

train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='SeededInfiniteSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='CalibrationDataset',
        data_root=data_root,
        reader=dict(
            type='KittiOdometryReader',
            sequences=['00', '01', '02', '03', '04', '05', '06', '07', '09', '10']),
        pipeline=train_pipeline,
        skip_broken=True))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='CalibrationDataset',
        data_root=data_root,
        reader=dict(type='KittiOdometryReader', sequences=['08']),
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader

val_evaluator = [dict(type='CalibrationMetric')]  # the others also embed all points
test_evaluator = [
    dict(type='CalibrationMetric'),
    dict(type='MatchingMetric'),
    dict(type='AlignmentMetric'),
    dict(type='OverlapMetric'),
    dict(type='MismatchMetric'),
]
