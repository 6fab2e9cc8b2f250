# model settings
model = dict(
    type='CrossI2P',
    data_preprocessor=dict(type='CalibrationDataPreprocessor', voxel_size=(0.1, 0.1, 0.1)),
    point_backbone=dict(
        type='DGCNN', in_channels=4, channels=(64, 64, 128, 256), out_channels=128, k=20),
    image_branch=dict(
        type='ResNetFPN', depth=50, out_channels=128, weights='torchvision://resnet50'),
    transformer=dict(type='CoarseTransformer', num_heads=4, num_layers=3, ffn_channels=512),
    contrastive_head=dict(type='ContrastiveHead', out_channels=256),
    overlap_head=dict(type='OverlapHead'),
    yaw_head=dict(type='YawHead'),
    matching_head=dict(type='MatchingHead', embed_dims=64, alignment=False),
    pose_head=dict(type='PoseHead', num_points=128),
    embed_dims=256,
    superpoints=dict(num_groups=1280, radius=2., group_size=32),
    patches=dict(stride=16, top_k=3, margin=2),
    loss_weights=dict(contrastive=0.5, matching=0.5, overlap=0.5, yaw=0.5, pose=0.5),
    # Dynamic collaborative training; None: fixed weights.
    loss_balancer=dict(
        type='GradNorm',
        tasks=dict(
            contrastive=['loss_imid', 'loss_cmid'],
            matching=['loss_coarse*', 'loss_fine*', 'loss_overlap', 'loss_yaw'],
            pose=['loss_pose', 'loss_reprojection']),
        shared=['point_backbone.out', 'superpixel_pyramid.projections'],
        # Each update costs a quarter of a step.
        interval=4))
