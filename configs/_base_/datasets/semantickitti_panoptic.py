# dataset settings
# SemanticKITTI with instances: DATA_ROOT/sequences/XX/{velodyne,labels}; infos and label fractions
# as for semantic segmentation. Training sees 80,000 points of the range below, as in the baseline;
# prediction and evaluation use all points.
_base_ = './semantickitti_seg.py'

labels = [
    dict(type='LoadPanopticLabels', layout='semantickitti'),
    dict(type='PointSegClassMapping'),
]
crop = dict(type='PointsRangeFilter', point_cloud_range=[-48., -48., -4., 48., 48., 1.5])
sample = dict(type='PointSample', num_points=80000)
augment = [_base_.flip, _base_.rotate_scale_shift]
pack = dict(
    type='Pack3DDetInputs', keys=['points', 'pts_semantic_mask', 'pts_instance_mask'])
train_pipeline = [*_base_.load, *labels, crop, sample, *augment, pack]
test_pipeline = [*_base_.load, *labels, pack]

train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = dict(
    _delete_=True,
    type='PanopticMetric',
    thing_class_inds=[0, 1, 2, 3, 4, 5, 6, 7],
    min_num_points=50)
test_evaluator = val_evaluator

submission = dict(evaluator=dict(type='SemanticKittiPanopticSubmission'))
