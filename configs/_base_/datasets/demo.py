# dataset settings
# The generated demo world in the layout of KITTI odometry, one sample per step.
_base_ = ['./semantickitti.py']
data_root = '{{$NCLR_DEMO_ROOT:data/demo}}'

crop = dict(type='CropPoints', point_cloud_range=[-51.2, -51.2, -3, 51.2, 51.2, 5])
rigid_transform = dict(
    type='RandomRigidTransform', yaw=3.141592653589793, translation=(10., 10., 0.))
resize = dict(type='ResizeImages', size=(320, 96))  # width, height
augment = [dict(type='RandomSceneFlip', prob=0.5)]
train_pipeline = [*_base_.load, crop, rigid_transform, resize, *augment, _base_.pack]
test_pipeline = [*_base_.load, crop, rigid_transform, resize, _base_.pack]

train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_root=data_root,
        reader=dict(
            _delete_=True,
            type='KittiOdometryReader',
            sequences=['00', '01', '02', '03', '04', '05', '06', '07']),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        reader=dict(_delete_=True, type='KittiOdometryReader', sequences=['08']),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
