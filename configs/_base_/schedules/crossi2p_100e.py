# schedule
# The paper's schedule: Adam, 100 epochs, the learning rate times 0.25 every 5 epochs (after 30 of
# them it is below 1e-6), one sample per process on two GPUs. An epoch of KITTI's 00-08 with two
# cameras is 40,818 samples.
iterations_per_epoch = 20409
train_cfg = dict(
    type='ResumableIterLoop', max_iters=100 * iterations_per_epoch,
    num_samples=200 * iterations_per_epoch, val_interval=5 * iterations_per_epoch)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3), clip_grad=dict(max_norm=10.))
param_scheduler = [
    dict(type='StepLR', by_epoch=False, step_size=5 * iterations_per_epoch, gamma=0.25),
]
auto_scale_lr = dict(enable=False, base_batch_size=2)
