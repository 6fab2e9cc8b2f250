# dataset settings
# SemanticKITTI: DATA_ROOT/sequences/XX/{velodyne,labels}; infos by
# `tools/create_infos.py semantickitti DATA_ROOT`. Unlabelled points stay in the input, in training
# and in validation; loss and metric ignore them.
_base_ = ['mmdet3d::_base_/datasets/semantickitti.py', './seg_parts.py']
data_root = '{{$NCLR_SEMANTICKITTI_ROOT:data/semantickitti}}'

load = [dict(type='LoadPointsFromFile', coord_type='LIDAR', load_dim=4, use_dim=4)]
labels = [
    dict(
        type='LoadAnnotations3D',
        with_bbox_3d=False,
        with_label_3d=False,
        with_seg_3d=True,
        seg_3d_dtype='np.int32',
        seg_offset=2**16,
        dataset_type='semantickitti'),
    dict(type='PointSegClassMapping'),
]
train_pipeline = [*load, *labels, *_base_.augment, _base_.pack]
test_pipeline = [*load, *labels, _base_.pack]

train_dataloader = dict(
    batch_size=2, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

# `tools/test.py --submission DIR` predicts the hidden test set, which has no labels.
submission = dict(
    dataset=dict(
        ann_file='semantickitti_infos_test.pkl',
        pipeline=[*load, _base_.pack_points]),
    evaluator=dict(type='SemanticKittiSubmission', out_dir=None))
