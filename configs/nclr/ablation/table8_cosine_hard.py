"""Cosine + hard match

Of the paper's Table 8. The match is one of test time: hard and soft rows of one seed are the same
training.
"""
_base_ = ['../nclr_minkunet_demo.py']
model = dict(matching_head=dict(alignment=False, match='hard'))
