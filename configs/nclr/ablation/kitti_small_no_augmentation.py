"""The small KITTI configuration without random windows, flips and colours: placements alone."""
_base_ = ['../pretrain_kitti_small.py']

train_pipeline = [
    step for step in _base_.train_pipeline
    if step['type'] not in ('CropImages', 'RandomSceneFlip', 'PhotometricDistortion')
]
train_pipeline[-2]['size'] = _base_.image_size
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
