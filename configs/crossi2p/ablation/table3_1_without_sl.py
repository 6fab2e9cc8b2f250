"""Without contrastive learning (SL)

Row 1 of the paper's Table 3, of which the printed marks of rows 1 and 2 are the same.
"""
_base_ = ['../crossi2p_demo.py']
model = dict(contrastive_head=None)
