"""CenterPoint on nuScenes, 0.1 m voxels: mmdet3d's config, its encoder pretrained or from scratch.

NCLR_NUSCENES_ROOT (with the host's infos), NCLR_CHECKPOINT (of `pretrain_nuscenes_centerpoint.py`;
none: from scratch).
"""
_base_ = ['mmdet3d::centerpoint/centerpoint_voxel01_second_secfpn_8xb4-cyclic-20e_nus-3d.py']
custom_imports = dict(imports=['nclr_plugin'], allow_failed_imports=False)
custom_hooks = [dict(type='SparseAlgoHook')]

data_root = '{{$NCLR_NUSCENES_ROOT:data/nuscenes}}/'
pretrained = '{{$NCLR_CHECKPOINT:none}}'

model = dict(
    init_cfg=dict(
        type='NCLRPretrained',
        checkpoint=None if pretrained in ('', 'none') else pretrained,
        submodule='pts_middle_encoder'))

train_pipeline = _base_.train_pipeline
next(step for step in train_pipeline if step['type'] == 'ObjectSample')['db_sampler'].update(
    data_root=data_root, info_path=f'{data_root}nuscenes_dbinfos_train.pkl')
train_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root, pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(data_root=data_root, ann_file=f'{data_root}nuscenes_infos_val.pkl')
test_evaluator = val_evaluator
