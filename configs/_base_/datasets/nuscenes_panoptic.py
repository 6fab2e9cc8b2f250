# nuScenes with instances: DATA_ROOT/{samples,lidarseg,panoptic}; infos and label fractions as for
# semantic segmentation. The classes are those of nuScenes-panoptic: 10 things, 6 kinds of stuff.
_base_ = './nuscenes_seg.py'

annotations = [
    dict(type='LoadPanopticLabels', layout='nuscenes'),
    dict(type='PointSegClassMapping'),
]
pack = dict(
    type='Pack3DDetInputs', keys=['points', 'pts_semantic_mask', 'pts_instance_mask'])
train_pipeline = _base_.points + annotations + [
    dict(type='PointsRangeFilter', point_cloud_range=[-50., -50., -5., 50., 50., 3.]),
    _base_.train_pipeline[4],  # flips
    dict(
        type='GlobalRotScaleTrans',
        rot_range=[-3.141592653589793, 3.141592653589793],
        scale_ratio_range=[0.95, 1.05],
        translation_std=[0.1, 0.1, 0.1]),
    pack,
]
test_pipeline = _base_.points + annotations + [pack]

train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = dict(
    _delete_=True,
    type='PanopticMetric',
    thing_class_inds=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    min_num_points=15)
test_evaluator = val_evaluator
