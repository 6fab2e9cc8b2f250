"""+ learnable transformation alignment

Row 2 of the paper's Table 6.
"""
_base_ = ['../nclr_minkunet_demo.py']
model = dict(
    overlap_head=None,
    loss_weights=dict(pose=0.))
