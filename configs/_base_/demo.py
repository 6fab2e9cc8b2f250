# The generated demo world, one sample a step on a CPU. A config takes the image branch out with
# `_base_.pop('image_branch')`, puts it into its model, and sets the pipelines.
_base_ = ['./datasets/skitti.py', './schedules/adamw_cosine_30k.py', './default_runtime.py']

data_root = '{{$NCLR_DEMO_ROOT:data/demo}}'
point_cloud_range = [-51.2, -51.2, -3, 51.2, 51.2, 5]
image_size = (320, 96)

image_branch = dict(
    depth=18,
    base_channels=24,
    out_indices=(0, 1, 2),
    out_channels=64,
    norm_cfg=dict(type='GN', num_groups=8),
    weights=None)

train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_root=data_root,
        reader=dict(
            _delete_=True,
            type='KittiOdometryReader',
            sequences=['00', '01', '02', '03', '04', '05', '06', '07'])))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        reader=dict(_delete_=True, type='KittiOdometryReader', sequences=['08'])))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=8000, num_samples=None, val_interval=8000)
auto_scale_lr = dict(base_batch_size=1)
optim_wrapper = dict(optimizer=dict(lr=7e-4))
