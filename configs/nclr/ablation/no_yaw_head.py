"""Without the yaw head: fusion alone has to find the camera's yaw."""
_base_ = ['../nclr_minkunet_demo.py']
model = dict(yaw_head=None)
