# dataset settings
# Parts of a data set of some hundred real frames below one root: KITTI object frames (split by
# drives), further KITTI scenes without labels, and odometry sequences.
real_root = '{{$NCLR_REAL_ROOT:data/real}}'
object_root = f'{real_root}/kitti_object'

# From -10 m: beside a road on an embankment, the fields below hold a fifth of some scans' points.
real_crop = dict(type='CropPoints', point_cloud_range=[-51.2, -51.2, -10, 51.2, 51.2, 10])
# Sectors beside and behind the image come from another scan.
mix = dict(
    type='MixScans',
    prob=0.7,
    pre_transform=[dict(type='LoadPoints'), real_crop])

train_frames = dict(
    data_root='',
    reader=dict(
        _delete_=True,
        type='ConcatReader',
        parts=[
            dict(
                data_root=object_root,
                reader=dict(type='KittiObjectReader', frame_list='ImageSets/train.txt')),
            dict(
                data_root=f'{real_root}/kitti_unlabelled',
                reader=dict(type='KittiObjectReader')),
            dict(
                data_root=f'{real_root}/kitti_odometry',
                reader=dict(type='KittiOdometryReader', sequences=['04', '80', '82'])),
        ]))
val_frames = dict(
    data_root=object_root,
    reader=dict(_delete_=True, type='KittiObjectReader', frame_list='ImageSets/val.txt'),
    repeats=15)

appearance = [dict(type='RandomSceneFlip', prob=0.5), dict(type='ColorJitter')]
# A crop of a larger image moves the scene as if the camera were mounted elsewhere.
window = [
    dict(type='ResizeImages', size=(368, 110)),
    dict(type='CropImages', size=(320, 96), random=True),
    *appearance,
]
# Windows of random direction. KITTI's images have 81 degrees: a fifth of the windows are whole.
virtual_camera = [
    dict(type='VirtualCamera', size=(320, 96), fov=(45., 90.), warm_up=8),
    *appearance,
]
