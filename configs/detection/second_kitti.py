"""SECOND on KITTI, three classes: mmdet3d's config, from scratch or from a pretrained encoder.

NCLR_KITTI_ROOT: the data set with mmdet3d's infos. `tools/train.py --checkpoint FILE` loads a
pretrained VoxelNet, `--fraction PERCENT` takes a part of the labels (infos by
`tools/split_detection_infos.py`). The epochs are mmdet3d's for every fraction.
"""
_base_ = [
    'mmdet3d::second/second_hv_secfpn_8xb6-80e_kitti-3d-3class.py',
    '../_base_/datasets/kitti_detection.py', '../_base_/detection_runtime.py'
]

# model settings
model = dict(
    init_cfg=dict(type='NCLRPretrained', checkpoint=None, submodule='middle_encoder'))

# dataset settings
data_root = '{{$NCLR_KITTI_ROOT:data/kitti}}/'
db_sampler = dict(
    _base_.db_sampler, data_root=data_root, info_path=f'{data_root}kitti_dbinfos_train.pkl')
train_pipeline = [
    dict(step, db_sampler=db_sampler) if step['type'] == 'ObjectSample' else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(
    dataset=dict(dataset=dict(data_root=data_root, pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=f'{data_root}kitti_infos_val.pkl')
test_evaluator = dict(ann_file=f'{data_root}kitti_infos_val.pkl')
