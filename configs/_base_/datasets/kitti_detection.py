# dataset settings
# `tools/test.py --submission DIR` predicts KITTI's test frames, in the form of its server.
submission = dict(
    dataset=dict(
        ann_file='kitti_infos_test.pkl', data_prefix=dict(pts='testing/velodyne_reduced')),
    evaluator=dict(
        type='KittiSubmission',
        ann_file='{{$NCLR_KITTI_ROOT:data/kitti}}/kitti_infos_test.pkl',
        out_dir=None))
