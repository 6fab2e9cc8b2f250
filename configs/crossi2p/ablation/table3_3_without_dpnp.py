"""Without differentiable PnP (D-PNP)

Row 3 of the paper's Table 3.
"""
_base_ = ['../crossi2p_demo.py']
model = dict(loss_weights=dict(pose=0.))
