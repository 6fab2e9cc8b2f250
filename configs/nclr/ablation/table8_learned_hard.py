"""Learnable + hard match

Of the paper's Table 8.
"""
_base_ = ['../pretrain_demo.py']
model = dict(matching_head=dict(match='hard'))
