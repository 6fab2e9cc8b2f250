"""NCLR on the demo world with the placements of CrossI2P's demo (and all points)."""
_base_ = ['../nclr/pretrain_demo.py']
placement = dict(
    type='RandomPlacement', yaw=6.283185307179586, translation=(10., 0., 10.), axes='camera')
train_pipeline = _base_.train_pipeline
train_pipeline[3] = placement
test_pipeline = [
    *train_pipeline[:4],
    dict(type='PointNoise', deviation=0.),
    train_pipeline[4],
    dict(type='ImageOcclusion', size=0),
    train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
test_evaluator = _base_.test_evaluator
test_evaluator.insert(
    1, dict(type='RegistrationMetric', protocols=['all_frames', 'corri2p_10_5']))
