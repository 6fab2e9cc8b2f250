"""Baseline: contrastive loss on cosine similarities.

Row 1 of the paper's Table 6. Without an overlap head the robust PnP matches all points to all
pixels, in this row and the next.
"""
_base_ = ['../nclr_minkunet_demo.py']
model = dict(
    matching_head=dict(alignment=False),
    overlap_head=None,
    loss_weights=dict(pose=0.))
