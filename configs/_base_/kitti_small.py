# A few dozen real KITTI frames in place of the demo world: object frames of NCLR_KITTI_ROOT and a
# sequence of NCLR_SKITTI_ROOT are trained on together; four object frames are left out for the
# evaluation, each placed 15 times. NCLR_KITTI_TEST=trained_on evaluates those trained on, each
# placed twice. A config takes `window` and `small` out with `_base_.pop`.
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
training_set = dict(
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
        ]))
test_sets = dict(
    left_out=dict(
        data_root=kitti_root,
        reader=dict(_delete_=True, type='KittiObjectReader', frame_list=left_out),
        placements=15),
    trained_on=dict(placements=2, **training_set))
test_set = '{{$NCLR_KITTI_TEST:left_out}}'
if test_set not in test_sets:
    raise ValueError(f'NCLR_KITTI_TEST: expected left_out or trained_on, got {test_set}')
test_set = test_sets[test_set]
# To be merged into the demo's config.
small = dict(
    train_dataloader=dict(dataset=training_set),
    val_dataloader=dict(dataset=test_set),
    test_dataloader=dict(dataset=test_set),
    train_cfg=dict(max_iters=4000, num_samples=None, val_interval=4000))
del training_set, test_set, test_sets
