"""With the image encoder trained, at a tenth of the learning rate."""
_base_ = ['../nclr_minkunet_kitti_real.py']
model = dict(image_branch=dict(frozen=False))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'image_branch.encoder': dict(lr_mult=0.1)}))
