"""Without the direction head: fusion alone has to find the camera's direction."""
_base_ = ['../pretrain_demo.py']
model = dict(direction_head=None)
