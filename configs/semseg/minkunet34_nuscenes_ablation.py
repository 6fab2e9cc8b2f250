"""MinkUNet-34 on nuScenes as in the paper's ablation study (section 4.5, Table 6).

1% of the labels of 600 scenes (NCLR_FRACTION for others), 100 epochs, evaluated on the other 100
training scenes. The infos: python tools/create_infos.py nuscenes ROOT --ablation.
"""
_base_ = ['./minkunet34_nuscenes.py']
percent = float('{{$NCLR_FRACTION:1}}')
train_infos = ('nuscenes_infos_ablation_train.pkl'
               if percent == 100 else f'nuscenes_infos_ablation_train_{percent:g}.pkl')

train_dataloader = dict(dataset=dict(ann_file=train_infos))
val_dataloader = dict(dataset=dict(ann_file='nuscenes_infos_ablation_val.pkl'))
test_dataloader = dict(dataset=dict(ann_file='nuscenes_infos_ablation_val.pkl'))
train_cfg = dict(max_epochs=100, val_interval=10)
