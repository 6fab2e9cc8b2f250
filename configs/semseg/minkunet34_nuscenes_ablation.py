"""MinkUNet-34 on nuScenes as in the paper's ablation study (section 4.5, Table 6).

1% of the labels of 600 scenes (others: `tools/train.py --fraction PERCENT`), 100 epochs, evaluated
on the other 100 training scenes. The infos: python tools/create_infos.py nuscenes ROOT --ablation.
"""
_base_ = ['./minkunet34_nuscenes.py']

# dataset settings
train_dataloader = dict(dataset=dict(ann_file='nuscenes_infos_ablation_train_1.pkl'))
val_dataloader = dict(dataset=dict(ann_file='nuscenes_infos_ablation_val.pkl'))
test_dataloader = dict(dataset=dict(ann_file='nuscenes_infos_ablation_val.pkl'))

# schedule
train_cfg = dict(max_epochs=100, val_interval=10)
fraction_epochs = None
