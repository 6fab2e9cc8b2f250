"""+ end-to-end pose estimation (NCLR), nuScenes

Row 4 of the paper's Table 6, pretrained on 600 scenes. For the fine-tuning see the README of
configs/nclr.
"""
_base_ = ['../nclr_minkunet34_nuscenes_600.py']
