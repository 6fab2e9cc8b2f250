"""Without contrastive learning (SL)

Row 1 of the paper's Table 3; the table prints the same marks for rows 1 and 2.
"""
_base_ = ['../crossi2p_demo.py']
model = dict(contrastive_head=None)
