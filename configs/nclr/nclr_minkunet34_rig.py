"""NCLR pretraining of MinkUNet-34 on your own rig: folders and a `rig.yaml` (calibration)."""
_base_ = ['./nclr_minkunet34_semantickitti.py']

# dataset settings
data_root = '{{$NCLR_RIG_ROOT:data/rig}}'
train_dataloader = dict(
    dataset=dict(data_root=data_root, reader=dict(_delete_=True, type='RigReader')))
# A validation list of frame stems, one a line; without one, validation is on the training frames.
val_dataloader = dict(
    dataset=dict(
        data_root=data_root, reader=dict(_delete_=True, type='RigReader', frame_list=None)))
test_dataloader = val_dataloader

# schedule
# 30,000 steps for any size of the data set; `train_cfg.max_iters` changes that.
train_cfg = dict(num_samples=None)
