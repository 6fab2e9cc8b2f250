# dataset settings
# The demo world by the protocol of image-to-point-cloud registration, with all points.
_base_ = ['./demo.py']

rigid_transform = dict(
    type='RandomRigidTransform', yaw=6.283185307179586, translation=(10., 0., 10.), axes='camera')
noise = dict(type='PointNoise', deviation=0.)
occlusion = dict(type='ImageOcclusion', size=0)
train_pipeline = [
    *_base_.load, _base_.crop, rigid_transform, _base_.resize, *_base_.augment, _base_.pack]
test_pipeline = [
    *_base_.load, _base_.crop, rigid_transform, noise, _base_.resize, occlusion, _base_.pack]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

test_evaluator = [
    dict(type='CalibrationMetric'),
    dict(type='RegistrationMetric', protocols=['all_frames', 'corri2p_10_5']),
    dict(type='MatchingMetric'),
    dict(type='AlignmentMetric'),
    dict(type='OverlapMetric'),
    dict(type='MismatchMetric'),
]
