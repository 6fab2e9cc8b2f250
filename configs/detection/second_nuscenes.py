"""SECOND on nuScenes, 0.1 m voxels: mmdet3d's anchor detector with SECOND's encoder in its place.

mmdet3d has no SECOND for nuScenes. This is its `pointpillars_hv_secfpn` (data, anchors, head,
schedule) with the range, the voxels and the networks of its `centerpoint_voxel01` where that has
pillars: the encoder is CenterPoint's, as in OpenPCDet's SECOND, and one pretraining serves both.

NCLR_NUSCENES_ROOT: the data set with mmdet3d's infos. `tools/train.py --checkpoint FILE` loads the
weights of `nclr_centerpoint_nuscenes.py`.
"""
_base_ = [
    'mmdet3d::pointpillars/pointpillars_hv_secfpn_sbn-all_8xb4-2x_nus-3d.py',
    '../_base_/detection_runtime.py'
]
point_cloud_range = [-51.2, -51.2, -5, 51.2, 51.2, 3]

# model settings
model = dict(
    data_preprocessor=dict(
        voxel_layer=dict(
            max_num_points=10,
            point_cloud_range=point_cloud_range,
            voxel_size=[0.1, 0.1, 0.2],
            max_voxels=(90000, 120000))),
    pts_voxel_encoder=dict(_delete_=True, type='HardSimpleVFE', num_features=5),
    pts_middle_encoder=dict(
        _delete_=True,
        type='SparseEncoder',
        in_channels=5,
        sparse_shape=[41, 1024, 1024],
        encoder_channels=((16, 16, 32), (32, 32, 64), (64, 64, 128), (128, 128)),
        encoder_paddings=((0, 0, 1), (0, 0, 1), (0, 0, (0, 1, 1)), (0, 0)),
        block_type='basicblock'),
    pts_backbone=dict(
        in_channels=256, layer_nums=[5, 5], layer_strides=[1, 2], out_channels=[128, 256]),
    pts_neck=dict(in_channels=[128, 256], upsample_strides=[1, 2], out_channels=[256, 256]),
    pts_bbox_head=dict(
        in_channels=512,
        feat_channels=512,
        anchor_generator=dict(ranges=[
            [-51.2, -51.2, low, 51.2, 51.2, high] for _, _, low, _, _, high in
            _base_.model.pts_bbox_head.anchor_generator.ranges
        ])),
    init_cfg=dict(type='NCLRPretrained', checkpoint=None, submodule='pts_middle_encoder'))

# dataset settings
data_root = '{{$NCLR_NUSCENES_ROOT:data/nuscenes}}/'


def with_range(steps):
    """Return the steps with the range of this config, those of test-time augmentation included."""
    changed = []
    for step in steps:
        if 'point_cloud_range' in step:
            step = dict(step, point_cloud_range=point_cloud_range)
        elif 'transforms' in step:
            step = dict(step, transforms=with_range(step['transforms']))
        changed.append(step)
    return changed


train_pipeline = with_range(_base_.train_pipeline)
test_pipeline = with_range(_base_.test_pipeline)
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
val_evaluator = dict(data_root=data_root, ann_file=f'{data_root}nuscenes_infos_val.pkl')
test_evaluator = val_evaluator
