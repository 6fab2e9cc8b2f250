"""SECOND on the boxes of some hundred KITTI frames, 0.1 m voxels, 51.2 m ahead, on a CPU.

NCLR_KITTI_ROOT: the folder `kitti_object` of `configs/nclr/nclr_minkunet_kitti_real.py`'s frames,
with mmdet3d's infos. `--fraction` and `--checkpoint` (of `nclr_voxelnet_kitti_real.py`) as in
second_kitti.py.
"""
_base_ = ['./second_demo.py']
point_cloud_range = [0, -25.6, -3, 51.2, 25.6, 1]

# model settings
model = dict(
    data_preprocessor=dict(voxel_layer=dict(point_cloud_range=point_cloud_range)),
    middle_encoder=dict(sparse_shape=[41, 512, 512]),
    bbox_head=dict(
        anchor_generator=dict(ranges=[
            [0, -25.6, height, 51.2, 25.6, height] for height in (-0.6, -0.6, -1.78)
        ])))

# dataset settings
crop = dict(type='PointsRangeFilter', point_cloud_range=point_cloud_range)
crop_boxes = dict(type='ObjectRangeFilter', point_cloud_range=point_cloud_range)
train_pipeline = [
    _base_.load, _base_.labels, *_base_.augment, crop, crop_boxes, *_base_.pack]
test_pipeline = [
    _base_.load, dict(_base_.unaugmented, transforms=[*_base_.unaugmented.transforms, crop]),
    _base_.pack_points]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

# schedule
train_cfg = dict(max_iters=400, val_begin=401)
# Pretrained layers learn at a tenth, as in ../semseg/minkunet_kitti_boxes.py.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(middle_encoder=dict(lr_mult=0.1))))
