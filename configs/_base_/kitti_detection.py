# What the detectors on KITTI change of their mmdet3d config, which a config names beside this file:
# it takes `pasted` and `changes` out with `_base_.pop` and merges them.
custom_imports = dict(imports=['nclr_plugin'], allow_failed_imports=False)
custom_hooks = [dict(type='SparseAlgoHook')]

root = '{{$NCLR_KITTI_ROOT:data/kitti}}/'
fraction = float('{{$NCLR_FRACTION:100}}')
part = '' if fraction == 100 else f'_{fraction:g}'
pretrained = '{{$NCLR_CHECKPOINT:none}}'

# Objects that are pasted into other frames come from the labelled frames too.
pasted = dict(data_root=root, info_path=f'{root}kitti_dbinfos_train{part}.pkl')
changes = dict(
    data_root=root,
    model=dict(
        init_cfg=dict(
            type='NCLRPretrained',
            checkpoint=None if pretrained in ('', 'none') else pretrained,
            submodule='middle_encoder')),
    train_dataloader=dict(
        dataset=dict(dataset=dict(data_root=root, ann_file=f'kitti_infos_train{part}.pkl'))),
    val_dataloader=dict(dataset=dict(data_root=root)),
    test_dataloader=dict(dataset=dict(data_root=root)),
    val_evaluator=dict(ann_file=f'{root}kitti_infos_val.pkl'),
    test_evaluator=dict(ann_file=f'{root}kitti_infos_val.pkl'))

# tools/test.py --submission DIR: the files that KITTI's server wants, of the frames without labels.
submission = '{{$NCLR_SUBMISSION:none}}'
if submission != 'none':
    changes['test_dataloader']['dataset'].update(
        ann_file='kitti_infos_test.pkl', data_prefix=dict(pts='testing/velodyne_reduced'))
    changes['test_evaluator'].update(
        ann_file=f'{root}kitti_infos_test.pkl', format_only=True, submission_prefix=submission)
del root
