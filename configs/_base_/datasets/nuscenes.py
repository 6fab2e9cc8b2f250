# dataset settings
# nuScenes: DATA_ROOT/samples/* and the info files of mmdet3d's `tools/create_data.py nuscenes`.
# A scan has six views.
_base_ = ['./semantickitti.py']
data_root = '{{$NCLR_NUSCENES_ROOT:data/nuscenes}}'

resize = dict(type='ResizeImages', size=(320, 160))  # width, height
train_pipeline = [
    *_base_.load, _base_.crop, _base_.rigid_transform, resize, *_base_.augment, _base_.pack]
test_pipeline = [*_base_.load, _base_.crop, _base_.rigid_transform, resize, _base_.pack]

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
