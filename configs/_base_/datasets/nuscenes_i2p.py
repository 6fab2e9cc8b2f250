# nuScenes' key frames and front camera by the protocol of image-to-point-cloud registration:
# 100 rows cut off above, scaled by 0.4, 160 x 320; to the scan of the key frame come every fourth
# of the sweeps before it, three of them. (Published loaders also take three after it, which
# mmdet3d's infos do not list.) Infos of `tools/create_data.py nuscenes --max-sweeps 12` list so
# many; of the default 10, two are found. reader.num_sweeps=0: the key frame alone.
_base_ = ['./kitti_i2p.py']
data_root = '{{$NCLR_NUSCENES_ROOT:data/nuscenes}}'
point_cloud_range = [-80., -80., -10., 80., 80., 20.]
placement = dict(
    type='RandomPlacement', yaw=6.283185307179586, translation=(10., 0., 10.), axes='camera')
sample_points = dict(type='SamplePoints', num_points=20480, voxel_size=0.1)
crop = [dict(type='TrimImages', top=100), dict(type='ScaleImages', factor=0.4)]

train_pipeline = [
    dict(type='LoadScan'),
    dict(type='AccumulateSweeps'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    placement,
    sample_points,
    *crop,
    dict(type='CropImages', size=(320, 160), random=True),
    dict(type='PhotometricDistortion'),
    dict(type='PackCalibrationInputs'),
]
test_pipeline = [
    dict(type='LoadScan'),
    dict(type='AccumulateSweeps'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    placement,
    sample_points,
    dict(type='PointNoise', deviation=0.),
    *crop,
    dict(type='CropImages', size=(320, 160)),
    dict(type='ImageOcclusion', size=0),
    dict(type='PackCalibrationInputs'),
]
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        reader=dict(
            _delete_=True,
            type='NuScenesReader',
            info_file='nuscenes_infos_train.pkl',
            cameras=['CAM_FRONT'],
            num_sweeps=3,
            sweep_step=4),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        reader=dict(
            _delete_=True,
            type='NuScenesReader',
            info_file='nuscenes_infos_val.pkl',
            cameras=['CAM_FRONT'],
            num_sweeps=3,
            sweep_step=4),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
