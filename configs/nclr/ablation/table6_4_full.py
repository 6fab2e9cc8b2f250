"""+ end-to-end pose estimation (NCLR)

Row 4 of the paper's Table 6.
"""
_base_ = ['../nclr_minkunet_demo.py']
