"""NCLR pretraining of MinkUNet-34 on SemanticKITTI, 0.05 m voxels (paper, section 4.2).

8 GPUs: torchrun --nproc_per_node 8 tools/train.py configs/nclr/nclr_minkunet34_semantickitti.py \
    --launcher pytorch --amp
"""
_base_ = [
    '../_base_/models/nclr_minkunet34.py', '../_base_/datasets/semantickitti.py',
    '../_base_/schedules/adamw_cosine_30k.py', '../_base_/default_runtime.py'
]
