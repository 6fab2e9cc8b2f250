# dataset settings
# Parts of the pipelines of the segmentation data sets; panoptic segmentation also scales, shifts
# and packs instances.
flip = dict(
    type='RandomFlip3D',
    sync_2d=False,
    flip_ratio_bev_horizontal=0.5,
    flip_ratio_bev_vertical=0.5)
rotate = dict(
    type='GlobalRotScaleTrans',
    rot_range=[-3.141592653589793, 3.141592653589793],
    scale_ratio_range=[1., 1.],
    translation_std=[0., 0., 0.])
rotate_scale_shift = dict(
    rotate, scale_ratio_range=[0.95, 1.05], translation_std=[0.1, 0.1, 0.1])
augment = [flip, rotate]
pack = dict(type='Pack3DDetInputs', keys=['points', 'pts_semantic_mask'])
pack_points = dict(type='Pack3DDetInputs', keys=['points'])
