"""Learnable + soft match

Of the paper's Table 8.
"""
_base_ = ['../nclr_minkunet_demo.py']
