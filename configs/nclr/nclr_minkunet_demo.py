"""NCLR on the generated demo world: a small model that learns within minutes on a CPU."""
_base_ = [
    '../_base_/models/nclr_minkunet_small.py', '../_base_/datasets/demo.py',
    '../_base_/schedules/demo_8k.py', '../_base_/default_runtime.py'
]
