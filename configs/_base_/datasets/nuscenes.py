# nuScenes: DATA_ROOT/samples/* and the info files of mmdet3d's `tools/create_data.py nuscenes`;
# a scan has six views.
_base_ = ['./skitti.py']
data_root = '{{$NCLR_NUSCENES_ROOT:data/nuscenes}}'
point_cloud_range = [-51.2, -51.2, -3, 51.2, 51.2, 1]
image_size = (320, 160)  # width, height
yaw = 3.141592653589793
translation = (15., 15., 0.)

train_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    dict(type='RandomPlacement', yaw=yaw, translation=translation),
    dict(type='ResizeImages', size=image_size),
    dict(type='RandomSceneFlip', prob=0.5),
    dict(type='PhotometricDistortion'),
    dict(type='PackCalibrationInputs'),
]
test_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    dict(type='RandomPlacement', yaw=yaw, translation=translation),
    dict(type='ResizeImages', size=image_size),
    dict(type='PackCalibrationInputs'),
]
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        reader=dict(_delete_=True, type='NuScenesReader', info_file='nuscenes_infos_train.pkl'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        reader=dict(_delete_=True, type='NuScenesReader', info_file='nuscenes_infos_val.pkl'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
