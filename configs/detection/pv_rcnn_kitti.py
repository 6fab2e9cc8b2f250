"""PV-RCNN on KITTI, three classes: mmdet3d's config, from scratch or from a pretrained encoder.

NCLR_KITTI_ROOT (with the host's infos), NCLR_FRACTION (percent of the labels; those below 100 by
`tools/split_detection_infos.py`), NCLR_CHECKPOINT (a pretrained VoxelNet; none: from scratch).
The epochs are the host's, whatever the fraction. The host pastes objects onto road planes: make the
infos with `create_data.py kitti --with-plane`.
"""
_base_ = ['mmdet3d::pv_rcnn/pv_rcnn_8xb2-80e_kitti-3d-3class.py']
custom_imports = dict(imports=['nclr_plugin'], allow_failed_imports=False)
custom_hooks = [dict(type='SparseAlgoHook')]

data_root = '{{$NCLR_KITTI_ROOT:data/kitti}}/'
fraction = float('{{$NCLR_FRACTION:100}}')
part = '' if fraction == 100 else f'_{fraction:g}'
pretrained = '{{$NCLR_CHECKPOINT:none}}'

model = dict(
    init_cfg=dict(
        type='NCLRPretrained',
        checkpoint=None if pretrained in ('', 'none') else pretrained,
        submodule='middle_encoder'))

# Objects that are pasted into other frames come from the labelled frames too.
train_pipeline = _base_.train_pipeline
next(step for step in train_pipeline if step['type'] == 'ObjectSample')['db_sampler'].update(
    data_root=data_root, info_path=f'{data_root}kitti_dbinfos_train{part}.pkl')
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            data_root=data_root,
            ann_file=f'kitti_infos_train{part}.pkl',
            pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=f'{data_root}kitti_infos_val.pkl')
test_evaluator = dict(ann_file=f'{data_root}kitti_infos_val.pkl')

# tools/test.py --submission DIR: the files that KITTI's server wants, of the frames without labels.
submission = '{{$NCLR_SUBMISSION:none}}'
if submission != 'none':
    test_dataloader['dataset'].update(
        ann_file='kitti_infos_test.pkl', data_prefix=dict(pts='testing/velodyne_reduced'))
    test_evaluator.update(
        ann_file=f'{data_root}kitti_infos_test.pkl', format_only=True,
        submission_prefix=submission)
