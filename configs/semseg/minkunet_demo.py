"""The backbone of nclr_minkunet_demo.py on the labels of the demo world, minutes on a CPU.

NCLR_DEMO_ROOT: the demo world. `tools/train.py --fraction`, `--checkpoint` as in the others. Every
label fraction trains for the same number of steps.
"""
_base_ = [
    '../_base_/models/seg_minkunet_demo.py', '../_base_/datasets/semantickitti_seg.py',
    '../_base_/schedules/finetune_seg_demo.py'
]

# dataset settings
data_root = '{{$NCLR_DEMO_ROOT:data/demo}}'
train_dataloader = dict(
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(data_root=data_root))
# Batch statistics are those of two scans, as in training.
val_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))
test_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))
