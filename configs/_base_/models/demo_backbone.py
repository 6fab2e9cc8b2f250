# The point backbone of the demos of pretraining, segmentation and panoptic segmentation, which a
# config takes out with `_base_.pop('demo_backbone')`. Three stages: with voxels of 0.5 m, a fourth
# would leave tokens of 8 m to fuse.
demo_backbone = dict(
    type='SplitMinkUNet',
    base_channels=16,
    encoder_channels=(32, 48, 64),
    encoder_blocks=(1, 1, 1),
    decoder_channels=(64, 48, 32),
    decoder_blocks=(1, 1, 1),
    scan_statistics=True)
