"""SECOND on KITTI, three classes: mmdet3d's config, from scratch or from a pretrained encoder.

NCLR_KITTI_ROOT (with the host's infos), NCLR_FRACTION (percent of the labels; those below 100 by
`tools/split_detection_infos.py`), NCLR_CHECKPOINT (a pretrained VoxelNet; none: from scratch).
The epochs are the host's, whatever the fraction.
"""
_base_ = [
    'mmdet3d::second/second_hv_secfpn_8xb6-80e_kitti-3d-3class.py',
    '../_base_/kitti_detection.py'
]

train_pipeline = _base_.train_pipeline
next(step for step in train_pipeline if step['type'] == 'ObjectSample')['db_sampler'].update(
    _base_.pop('pasted'))
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
_base_.merge(_base_.pop('changes'))
