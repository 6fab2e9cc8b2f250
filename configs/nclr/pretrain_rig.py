"""NCLR pretraining of MinkUNet-34 on a rig of your own: folders and a `rig.yaml` with the calibration."""
_base_ = ['./pretrain_skitti.py']
data_root = '{{$NCLR_RIG_ROOT:data/rig}}'

train_dataloader = dict(
    dataset=dict(data_root=data_root, reader=dict(_delete_=True, type='RigReader')))
# A validation list of frame stems, one a line; without one, validation is on the training frames.
val_dataloader = dict(
    dataset=dict(
        data_root=data_root, reader=dict(_delete_=True, type='RigReader', frame_list=None)))
test_dataloader = val_dataloader
# 30,000 steps, whatever the rig has; `train_cfg.max_iters` changes that.
train_cfg = dict(num_samples=None)
