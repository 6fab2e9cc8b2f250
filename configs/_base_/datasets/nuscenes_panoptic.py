# dataset settings
# nuScenes with instances: DATA_ROOT/{samples,lidarseg,panoptic}; infos and label fractions as for
# semantic segmentation. The classes are those of nuScenes-panoptic: 10 things, 6 kinds of stuff.
_base_ = './nuscenes_seg.py'

labels = [
    dict(type='LoadPanopticLabels', layout='nuscenes'),
    dict(type='PointSegClassMapping'),
]
crop = dict(type='PointsRangeFilter', point_cloud_range=[-50., -50., -5., 50., 50., 3.])
augment = [_base_.flip, _base_.rotate_scale_shift]
pack = dict(
    type='Pack3DDetInputs', keys=['points', 'pts_semantic_mask', 'pts_instance_mask'])
train_pipeline = [*_base_.load, *labels, crop, *augment, pack]
test_pipeline = [*_base_.load, *labels, pack]

train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = dict(
    _delete_=True,
    type='PanopticMetric',
    thing_class_inds=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    min_num_points=15)
test_evaluator = val_evaluator

submission = None  # none is written for nuScenes-panoptic
