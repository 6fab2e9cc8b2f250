# KITTI odometry by the protocol of image-to-point-cloud registration (DeepI2P and its followers):
# sequences 00-08 against 09 and 10, cameras 2 and 3, one image of 160 x 512 a sample, 20,480 points
# after voxels of 0.1 m, any yaw and +-10 m along the camera's x and z.
# Evaluation draws the placement of a sample from its number alone; training a new one every time.
_base_ = ['./skitti.py']
data_root = '{{$NCLR_SKITTI_ROOT:data/semantickitti}}'
point_cloud_range = [-80., -80., -10., 80., 80., 20.]
placement = dict(
    type='RandomPlacement', yaw=6.283185307179586, translation=(10., 0., 10.), axes='camera')
sample_points = dict(type='SamplePoints', num_points=20480, voxel_size=0.1)
crop = [dict(type='TrimImages', top=50), dict(type='ScaleImages', factor=0.5)]
train_sequences = ['00', '01', '02', '03', '04', '05', '06', '07', '08']
test_sequences = ['09', '10']

train_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    placement,
    sample_points,
    *crop,
    dict(type='CropImages', size=(512, 160), random=True),
    dict(type='PhotometricDistortion'),
    dict(type='PackCalibrationInputs'),
]
# Noise and occlusion are off; Table 2 switches them on.
test_pipeline = [
    *train_pipeline[:5],
    dict(type='PointNoise', deviation=0.),
    *crop,
    dict(type='CropImages', size=(512, 160)),
    dict(type='ImageOcclusion', size=0),
    dict(type='PackCalibrationInputs'),
]


def both_cameras(sequences):
    """Reader of the sequences' frames, once with each camera."""
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
        data_root=data_root, reader=both_cameras(train_sequences), pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root, reader=both_cameras(test_sequences), pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='CalibrationMetric'), dict(type='OverlapMetric')]
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
