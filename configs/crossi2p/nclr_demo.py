"""NCLR on the demo world with the placements of CrossI2P's demo (and all points)."""
_base_ = ['../nclr/pretrain_demo.py']
point_cloud_range = [-51.2, -51.2, -3, 51.2, 51.2, 5]
placement = dict(
    type='RandomPlacement', yaw=6.283185307179586, translation=(10., 0., 10.), axes='camera')
train_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    placement,
    dict(type='ResizeImages', size=(320, 96)),
    dict(type='RandomSceneFlip', prob=0.5),
    dict(type='PackCalibrationInputs'),
]
test_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    placement,
    dict(type='PointNoise', deviation=0.),
    dict(type='ResizeImages', size=(320, 96)),
    dict(type='ImageOcclusion', size=0),
    dict(type='PackCalibrationInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
test_evaluator = [
    dict(type='CalibrationMetric'),
    dict(type='RegistrationMetric', protocols=['all_frames', 'corri2p_10_5']),
    dict(type='MatchingMetric'),
    dict(type='AlignmentMetric'),
    dict(type='OverlapMetric'),
]
