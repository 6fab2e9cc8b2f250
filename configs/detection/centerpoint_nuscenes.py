"""CenterPoint on nuScenes, 0.1 m voxels: mmdet3d's config, its encoder pretrained or from scratch.

NCLR_NUSCENES_ROOT: the data set with mmdet3d's infos. `tools/train.py --checkpoint FILE` loads the
weights of `nclr_centerpoint_nuscenes.py`.
"""
_base_ = [
    'mmdet3d::centerpoint/centerpoint_voxel01_second_secfpn_8xb4-cyclic-20e_nus-3d.py',
    '../_base_/detection_runtime.py'
]

# model settings
model = dict(
    init_cfg=dict(type='NCLRPretrained', checkpoint=None, submodule='pts_middle_encoder'))

# dataset settings
data_root = '{{$NCLR_NUSCENES_ROOT:data/nuscenes}}/'
db_sampler = dict(
    _base_.db_sampler, data_root=data_root, info_path=f'{data_root}nuscenes_dbinfos_train.pkl')
train_pipeline = [
    dict(step, db_sampler=db_sampler) if step['type'] == 'ObjectSample' else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root, pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(data_root=data_root, ann_file=f'{data_root}nuscenes_infos_val.pkl')
test_evaluator = val_evaluator
