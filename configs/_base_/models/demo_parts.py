# model settings
# Point backbones and image branch of the demo models.
# Three stages: with voxels of 0.5 m, a fourth would leave tokens of 8 m to fuse.
demo_backbone = dict(
    type='SplitMinkUNet',
    base_channels=16,
    encoder_channels=(32, 48, 64),
    encoder_blocks=(1, 1, 1),
    decoder_channels=(64, 48, 32),
    decoder_blocks=(1, 1, 1),
    batch_stats_in_eval=True)
demo_seg_backbone = dict(
    _delete_=True, **demo_backbone, init_cfg=dict(type='NCLRPretrained', checkpoint=None))
demo_voxelnet = dict(
    type='SplitSparseEncoder',
    in_channels=4,
    out_channels=32,
    init_cfg=dict(type='InputScaleInit', layer='conv_input.0', std=(None, None, 1., 0.3)))
demo_image_branch = dict(
    depth=18,
    base_channels=24,
    out_indices=(0, 1, 2),
    out_channels=64,
    norm_cfg=dict(type='GN', num_groups=8),
    weights=None)
