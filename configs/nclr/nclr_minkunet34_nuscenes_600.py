"""NCLR pretraining of MinkUNet-34 on the 600 scenes of nuScenes that the paper takes (section 4.1).

The infos: python tools/create_infos.py nuscenes ROOT --ablation. Validation is on the other 100
training scenes, the test on the 150 validation scenes.
"""
_base_ = ['./nclr_minkunet34_nuscenes.py']

# dataset settings
train_dataloader = dict(dataset=dict(reader=dict(info_file='nuscenes_infos_ablation_train.pkl')))
val_dataloader = dict(dataset=dict(reader=dict(info_file='nuscenes_infos_ablation_val.pkl')))

# schedule
# 50 epochs of about 24,100 key frames in steps of 16.
train_cfg = dict(max_iters=75400, num_samples=75400 * 16)
