# nuScenes' key frames and front camera by the protocol of image-to-point-cloud registration:
# 100 rows cut off above, scaled by 0.4, 160 x 512 as in the paper (published loaders: 160 x 320);
# to the scan of the key frame come every fourth of the sweeps before it, three of them. (Published
# loaders also take three after it, which mmdet3d's infos do not list.) Infos of
# `tools/create_data.py nuscenes --max-sweeps 12` list so many; of the default 10, two are found.
# reader.num_sweeps=0: the key frame alone.
_base_ = ['./kitti_i2p.py']
data_root = '{{$NCLR_NUSCENES_ROOT:data/nuscenes}}'
crop = [dict(type='TrimImages', top=100), dict(type='ScaleImages', factor=0.4)]

train_pipeline = _base_.train_pipeline
train_pipeline[5:8] = [*crop, dict(type='CropImages', size=(512, 160), random=True)]
train_pipeline.insert(1, dict(type='AccumulateSweeps'))
test_pipeline = _base_.test_pipeline
test_pipeline[6:9] = [*crop, dict(type='CropImages', size=(512, 160))]
test_pipeline.insert(1, dict(type='AccumulateSweeps'))
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
