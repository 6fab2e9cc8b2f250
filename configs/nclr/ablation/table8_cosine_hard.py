"""Cosine + hard match

Row of the paper's Table 8. The kind of match matters only at test time: the hard and the soft row
of a seed are the same training.
"""
_base_ = ['../nclr_minkunet_demo.py']
model = dict(matching_head=dict(alignment=False, match='hard'))
