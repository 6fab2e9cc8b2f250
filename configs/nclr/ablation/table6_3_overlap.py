"""+ overlapping area detection

Row 3 of the paper's Table 6.
"""
_base_ = ['../nclr_minkunet_demo.py']
model = dict(loss_weights=dict(pose=0.))
