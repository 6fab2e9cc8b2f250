"""Cosine + soft match

Row of the paper's Table 8.
"""
_base_ = ['../nclr_minkunet_demo.py']
model = dict(matching_head=dict(alignment=False))
