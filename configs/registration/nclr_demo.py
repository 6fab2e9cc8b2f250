"""NCLR on the demo world with the random transforms of CrossI2P's demo (and all points)."""
_base_ = [
    '../_base_/models/nclr_minkunet_small.py', '../_base_/datasets/demo_i2p.py',
    '../_base_/schedules/demo_8k.py', '../_base_/default_runtime.py'
]
