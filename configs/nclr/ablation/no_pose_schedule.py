"""The pose loss from the first step on, instead of from half of the training."""
_base_ = ['../pretrain_demo.py']
custom_hooks = _base_.custom_hooks
custom_hooks[-1].update(begin=0., end=0.)
