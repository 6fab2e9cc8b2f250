_base_ = './seg_runtime.py'

picture_hook = 'PanopticPictureHook'  # of `tools/test.py ... --show-dir DIR`
default_hooks = dict(checkpoint=dict(interval=5, save_best='pq'))
