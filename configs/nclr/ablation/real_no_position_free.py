"""Without the contrastive loss on features without positions."""
_base_ = ['../nclr_minkunet_kitti_real.py']
model = dict(position_free_head=None)
