"""With crops of the whole image in training in place of virtual cameras."""
_base_ = ['../nclr_minkunet_kitti_real.py']
train_pipeline = [
    *_base_.load, _base_.crop, _base_.rigid_transform, *_base_.window, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
