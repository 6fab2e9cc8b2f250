# dataset settings
# SemanticPOSS: DATA_ROOT/sequences/{00..05}/{velodyne,labels}, in SemanticKITTI's format; infos by
# `tools/create_infos.py semanticposs DATA_ROOT`, with sequence 03 for validation.
_base_ = './semantickitti_seg.py'
data_root = '{{$NCLR_POSS_ROOT:data/semanticposs}}'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='SemanticPossDataset',
        data_root=data_root,
        ann_file='semanticposs_infos_train.pkl',
        pipeline=_base_.train_pipeline))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='SemanticPossDataset',
        data_root=data_root,
        ann_file='semanticposs_infos_val.pkl',
        pipeline=_base_.test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader

submission = None  # there is no server
