"""With the small ResNet of the demo as image branch, trained from nothing."""
_base_ = ['../nclr_minkunet_kitti_real.py']
model = dict(
    image_branch=dict(_delete_=True, type='ResNetFPN', **_base_.demo_image_branch))
