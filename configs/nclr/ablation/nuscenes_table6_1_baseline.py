"""Baseline: contrastive loss on cosine similarities, nuScenes

Row 1 of the paper's Table 6, pretrained on 600 scenes. For the fine-tuning see the README of
configs/nclr.
"""
_base_ = ['../nclr_minkunet34_nuscenes_600.py']
model = dict(
    matching_head=dict(alignment=False),
    overlap_head=None,
    loss_weights=dict(pose=0.))
