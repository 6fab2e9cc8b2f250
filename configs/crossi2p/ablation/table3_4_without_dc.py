"""Without dynamic collaborative training (DC)

Row 4 of the paper's Table 3: fixed weights.
"""
_base_ = ['../crossi2p_demo.py']
model = dict(loss_balancer=None)
