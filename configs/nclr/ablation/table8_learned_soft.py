"""Learnable + soft match

Row of the paper's Table 8.
"""
_base_ = ['../nclr_minkunet_demo.py']
