"""Pixels are told from points in view alone, not from points outside it."""
_base_ = ['../pretrain_demo.py']
model = dict(num_outside=0)
