"""Without two-stage matching (RM)

Row 2 of the paper's Table 3: one stage, every point against the whole overlap.
"""
_base_ = ['../crossi2p_demo.py']
model = dict(transformer=None)
