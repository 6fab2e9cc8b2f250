"""Learnable + soft match

Of the paper's Table 8.
"""
_base_ = ['../pretrain_demo.py']
