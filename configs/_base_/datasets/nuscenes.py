# nuScenes: DATA_ROOT/samples/* and the info files of mmdet3d's `tools/create_data.py nuscenes`;
# a scan has six views.
_base_ = ['./skitti.py']
data_root = '{{$NCLR_NUSCENES_ROOT:data/nuscenes}}'
image_size = (320, 160)  # width, height

train_pipeline = _base_.train_pipeline
test_pipeline = _base_.test_pipeline
train_pipeline[4] = test_pipeline[4] = dict(type='ResizeImages', size=image_size)
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
