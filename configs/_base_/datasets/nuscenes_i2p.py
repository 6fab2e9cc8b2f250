# dataset settings
# Key frames and front camera of nuScenes by the protocol of image-to-point-cloud registration: the
# top 100 rows are cut off, the rest is scaled by 0.4, then 160 x 512 as in the paper (published
# loaders: 160 x 320). The scan also has every fourth sweep before the key frame, three in all.
# (Published loaders add three after it, which mmdet3d's infos do not list.) Infos of
# `tools/create_data.py nuscenes --max-sweeps 12` list enough sweeps; the default of 10 has two.
# reader.num_sweeps=0: the key frame alone.
_base_ = ['./kitti_i2p.py']
data_root = '{{$NCLR_NUSCENES_ROOT:data/nuscenes}}'

load = [dict(type='LoadPoints'), dict(type='AccumulateSweeps'), dict(type='LoadImages')]
resize = [dict(type='CropTop', top=100), dict(type='RescaleImages', factor=0.4)]
train_pipeline = [
    *load, _base_.crop, _base_.rigid_transform, _base_.sample, *resize, *_base_.augment,
    _base_.pack]
test_pipeline = [
    *load, _base_.crop, _base_.rigid_transform, _base_.sample, _base_.noise, *resize, _base_.window,
    _base_.occlusion, _base_.pack]

reader = dict(
    _delete_=True, type='NuScenesReader', cameras=['CAM_FRONT'], num_sweeps=3, sweep_step=4)
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        reader=dict(reader, info_file='nuscenes_infos_train.pkl'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        reader=dict(reader, info_file='nuscenes_infos_val.pkl'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
