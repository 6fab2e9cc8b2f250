"""The demo model on a few dozen real KITTI frames: what can be learned from them in minutes.

The frames and the division of `configs/nclr/pretrain_kitti_small.py`; each of the four frames left
out is placed 15 times.
"""
_base_ = ['./crossi2p_demo.py']

kitti_root = '{{$NCLR_KITTI_ROOT:data/kitti}}'
odometry_root = '{{$NCLR_SKITTI_ROOT:data/semantickitti}}'
left_out = ['000004', '000009', '000014', '000019']
trained_on = [f'{frame:06d}' for frame in range(20) if f'{frame:06d}' not in left_out]

train_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=[-51.2, -51.2, -3, 51.2, 51.2, 5]),
    dict(
        type='RandomPlacement', yaw=6.283185307179586, translation=(10., 0., 10.), axes='camera'),
    dict(type='SamplePoints', num_points=2048, voxel_size=0.3),
    # A window of a larger image: the scene moves in it, as if the camera was mounted otherwise.
    dict(type='ResizeImages', size=(368, 110)),
    dict(type='CropImages', size=(320, 96), random=True),
    dict(type='RandomSceneFlip', prob=0.5),
    dict(type='PhotometricDistortion'),
    dict(type='PackCalibrationInputs'),
]
train_dataloader = dict(
    dataset=dict(
        data_root='',
        reader=dict(
            _delete_=True,
            type='ConcatReader',
            parts=[
                dict(
                    data_root=kitti_root,
                    reader=dict(type='KittiObjectReader', frame_list=trained_on)),
                dict(
                    data_root=odometry_root,
                    reader=dict(type='KittiOdometryReader', sequences=['90'])),
            ]),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=kitti_root,
        reader=dict(_delete_=True, type='KittiObjectReader', frame_list=left_out),
        placements=15))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=4000, val_interval=4000)
