# dataset settings
# Parts of a data set of a few dozen real frames: KITTI object frames and an odometry sequence, with
# four object frames left out for evaluation.
kitti_root = '{{$NCLR_KITTI_ROOT:data/kitti}}'
odometry_root = '{{$NCLR_SEMANTICKITTI_ROOT:data/semantickitti}}'

train_frames = dict(
    data_root='',
    reader=dict(
        _delete_=True,
        type='ConcatReader',
        parts=[
            dict(
                data_root=kitti_root,
                reader=dict(
                    type='KittiObjectReader',
                    frame_list=[f'{frame:06d}' for frame in range(20) if frame % 5 != 4])),
            dict(
                data_root=odometry_root,
                reader=dict(type='KittiOdometryReader', sequences=['90'])),
        ]))
val_frames = dict(
    data_root=kitti_root,
    reader=dict(
        _delete_=True,
        type='KittiObjectReader',
        frame_list=['000004', '000009', '000014', '000019']),
    repeats=15)

# A crop of a larger image moves the scene as if the camera were mounted elsewhere.
window = [
    dict(type='ResizeImages', size=(368, 110)),
    dict(type='CropImages', size=(320, 96), random=True),
    dict(type='RandomSceneFlip', prob=0.5),
    dict(type='ColorJitter'),
]
