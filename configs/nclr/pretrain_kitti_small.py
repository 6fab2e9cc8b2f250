"""The demo model on a few dozen real KITTI frames: what can be learned from them in minutes.

Object frames of NCLR_KITTI_ROOT and a sequence of NCLR_SKITTI_ROOT are trained on together; four
object frames are left out for the evaluation, each placed 15 times.
"""
_base_ = ['./pretrain_demo.py']

kitti_root = '{{$NCLR_KITTI_ROOT:data/kitti}}'
odometry_root = '{{$NCLR_SKITTI_ROOT:data/semantickitti}}'
left_out = ['000004', '000009', '000014', '000019']
trained_on = [f'{frame:06d}' for frame in range(20) if f'{frame:06d}' not in left_out]
image_size = (320, 96)
point_cloud_range = [-51.2, -51.2, -3, 51.2, 51.2, 5]

train_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    dict(type='RandomPlacement', yaw=3.141592653589793, translation=(10., 10., 0.)),
    # A window of a larger image: the scene moves in it, as if the camera was mounted otherwise.
    dict(type='ResizeImages', size=(368, 110)),
    dict(type='CropImages', size=image_size, random=True),
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
