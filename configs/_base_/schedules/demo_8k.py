# schedule
# 8,000 steps of one sample, for the demo world on a CPU.
_base_ = ['./adamw_cosine_30k.py']

train_cfg = dict(max_iters=8000, num_samples=None, val_interval=8000)
optim_wrapper = dict(optimizer=dict(lr=7e-4))
auto_scale_lr = dict(base_batch_size=1)
