# schedule
# As crossi2p_100e.py. An epoch of nuScenes' front camera is 28,130 samples.
_base_ = ['./crossi2p_100e.py']
iterations_per_epoch = 14065
train_cfg = dict(
    max_iters=100 * iterations_per_epoch,
    num_samples=200 * iterations_per_epoch,
    val_interval=5 * iterations_per_epoch)
param_scheduler = [
    dict(type='StepLR', by_epoch=False, step_size=5 * iterations_per_epoch, gamma=0.25),
]
