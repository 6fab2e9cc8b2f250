"""Overlapping points, an eighth of all, weigh as little as the others in Eq. 3."""
_base_ = ['../pretrain_demo.py']
model = dict(overlap_positive_weight=1.)
