# dataset settings
# KITTI odometry by the protocol of image-to-point-cloud registration (DeepI2P and later work):
# sequences 00-08 for training, 09 and 10 for testing, cameras 2 and 3, one image of 160 x 512 per
# sample, 20,480 points after voxels of 0.1 m, any yaw and +-10 m along the camera's x and z.
# Each test sample has a fixed random transform; training draws a new one every time.
_base_ = ['./semantickitti.py']
data_root = '{{$NCLR_SEMANTICKITTI_ROOT:data/semantickitti}}'

crop = dict(type='CropPoints', point_cloud_range=[-80., -80., -10., 80., 80., 20.])
rigid_transform = dict(
    type='RandomRigidTransform', yaw=6.283185307179586, translation=(10., 0., 10.), axes='camera')
sample = dict(type='VoxelSample', num_points=20480, voxel_size=0.1)
resize = [dict(type='CropTop', top=50), dict(type='RescaleImages', factor=0.5)]
window = dict(type='CropImages', size=(512, 160))
augment = [
    dict(type='CropImages', size=(512, 160), random=True),
    dict(type='ColorJitter'),
]
# Off by default; Table 2 of the paper turns them on.
noise = dict(type='PointNoise', deviation=0.)
occlusion = dict(type='ImageOcclusion', size=0)
train_pipeline = [*_base_.load, crop, rigid_transform, sample, *resize, *augment, _base_.pack]
test_pipeline = [
    *_base_.load, crop, rigid_transform, sample, noise, *resize, window, occlusion, _base_.pack]


def both_cameras(sequences):
    """Return a reader of the sequences' frames, once with each camera."""
    return dict(
        _delete_=True,
        type='ConcatReader',
        parts=[
            dict(
                data_root='',
                reader=dict(type='KittiOdometryReader', sequences=sequences, cameras=[camera]))
            for camera in ('image_2', 'image_3')
        ])


train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_root=data_root,
        reader=both_cameras(['00', '01', '02', '03', '04', '05', '06', '07', '08']),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root, reader=both_cameras(['09', '10']), pipeline=test_pipeline))
test_dataloader = val_dataloader

test_evaluator = [
    dict(type='CalibrationMetric'),
    dict(
        type='RegistrationMetric',
        protocols=['all_frames', 'corri2p_10_5', 'corri2p_5_2', 'cofii2p']),
    dict(type='MatchingMetric'),
    dict(type='AlignmentMetric'),
    dict(type='OverlapMetric'),
    dict(type='MismatchMetric'),
]
