_base_ = './seg_runtime.py'

default_hooks = dict(checkpoint=dict(interval=5, save_best='pq'))
