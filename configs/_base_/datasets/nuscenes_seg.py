# dataset settings
# nuScenes-lidarseg: DATA_ROOT/{samples,lidarseg} and the infos of mmdet3d's
# `tools/create_data.py nuscenes`; those of label fractions by
# `tools/create_infos.py nuscenes DATA_ROOT`. Unlabelled points stay in the input; loss and metric
# ignore them.
_base_ = './seg_parts.py'
data_root = '{{$NCLR_NUSCENES_ROOT:data/nuscenes}}'

load = [
    dict(type='LoadPointsFromFile', coord_type='LIDAR', load_dim=5, use_dim=4),
    dict(type='ScaleIntensity', scale=1 / 255),
]
labels = [
    dict(
        type='LoadAnnotations3D',
        with_bbox_3d=False,
        with_label_3d=False,
        with_seg_3d=True,
        seg_3d_dtype='np.uint8',
        dataset_type='nuscenes'),
    dict(type='PointSegClassMapping'),
]
train_pipeline = [*load, *labels, *_base_.augment, _base_.pack]
test_pipeline = [*load, *labels, _base_.pack]
data_prefix = dict(pts='samples/LIDAR_TOP', pts_semantic_mask='lidarseg/v1.0-trainval')

train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='NuScenesSegDataset',
        data_root=data_root,
        ann_file='nuscenes_infos_train.pkl',
        data_prefix=data_prefix,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='NuScenesSegDataset',
        data_root=data_root,
        ann_file='nuscenes_infos_val.pkl',
        data_prefix=data_prefix,
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader

val_evaluator = dict(type='SegMetric')
test_evaluator = val_evaluator

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='Det3DLocalVisualizer', vis_backends=vis_backends, name='visualizer')

# `tools/test.py --submission DIR` predicts the hidden test set, which has no labels.
submission = dict(
    dataset=dict(
        ann_file='nuscenes_infos_test.pkl',
        pipeline=[*load, _base_.pack_points]),
    evaluator=dict(type='NuScenesSubmission', out_dir=None, data_root=data_root))
