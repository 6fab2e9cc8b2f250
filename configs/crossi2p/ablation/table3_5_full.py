"""CrossI2P

Row 5 of the paper's Table 3.
"""
_base_ = ['../crossi2p_demo.py']
