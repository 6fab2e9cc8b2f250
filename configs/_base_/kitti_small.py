# A few dozen real KITTI frames in place of the demo world: object frames of NCLR_KITTI_ROOT and a
# sequence of NCLR_SKITTI_ROOT are trained on together; four object frames are left out for the
# evaluation, each placed 15 times. A config takes `window` and `small` out with `_base_.pop`.
kitti_root = '{{$NCLR_KITTI_ROOT:data/kitti}}'
odometry_root = '{{$NCLR_SKITTI_ROOT:data/semantickitti}}'
left_out = ['000004', '000009', '000014', '000019']
trained_on = [f'{frame:06d}' for frame in range(20) if f'{frame:06d}' not in left_out]

# The end of the training pipeline.
window = [
    # A window of a larger image: the scene moves in it, as if the camera was mounted otherwise.
    dict(type='ResizeImages', size=(368, 110)),
    dict(type='CropImages', size=(320, 96), random=True),
    dict(type='RandomSceneFlip', prob=0.5),
    dict(type='PhotometricDistortion'),
    dict(type='PackCalibrationInputs'),
]
test_set = dict(
    dataset=dict(
        data_root=kitti_root,
        reader=dict(_delete_=True, type='KittiObjectReader', frame_list=left_out),
        placements=15))
# To be merged into the demo's config.
small = dict(
    train_dataloader=dict(
        dataset=dict(
            data_root='',
            reader=dict(
                _delete_=True,
                type='ConcatReader',
                parts=[
                    dict(
                        data_root=kitti_root,
                        reader=dict(type='KittiObjectReader', frame_list=trained_on)),
                    dict(
                        data_root=odometry_root,
                        reader=dict(type='KittiOdometryReader', sequences=['90'])),
                ]))),
    val_dataloader=test_set,
    test_dataloader=test_set,
    train_cfg=dict(max_iters=4000, val_interval=4000))
del test_set
