# model settings
model = dict(
    type='NCLR',
    data_preprocessor=dict(
        type='CalibrationDataPreprocessor', voxel_size=(0.05, 0.05, 0.05), max_voxels=80000),
    point_backbone=dict(
        type='SplitMinkUNet',
        in_channels=4,
        base_channels=32,
        encoder_channels=(32, 64, 128, 256),
        encoder_blocks=(2, 3, 4, 6),
        decoder_channels=(256, 128, 96, 96),
        decoder_blocks=(2, 2, 2, 2)),
    image_branch=dict(
        type='ResNetFPN',
        depth=50,
        out_channels=128,
        # Learned without labels (DINO), as in the published code. For other weights, and without
        # internet access, see the README of configs/nclr.
        weights='https://dl.fbaipublicfiles.com/dino/dino_resnet50_pretrain/'
        'dino_resnet50_pretrain.pth'),
    fusion=dict(type='CrossModalFusion', embed_dims=128, num_heads=4, num_layers=2),
    overlap_head=dict(type='OverlapHead'),
    yaw_head=dict(type='YawHead'),
    matching_head=dict(type='MatchingHead', embed_dims=64, alignment=True, temperature=0.07),
    pose_head=dict(type='PoseHead', num_points=128),
    loss_weights=dict(feature=1.0, overlap=0.5, pose=0.2, yaw=0.5))
