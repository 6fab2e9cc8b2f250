# dataset settings
# KITTI object frames labelled by their boxes: ROOT/kitti_object/{training,ImageSets}; labels and
# infos by `tools/create_infos.py kitti_boxes ROOT/kitti_object`.
_base_ = './semantickitti_seg.py'
data_root = '{{$NCLR_REAL_ROOT:data/real}}/kitti_object'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='KittiBoxesSegDataset',
        data_root=data_root,
        ann_file='kitti_boxes_infos_train.pkl',
        pipeline=_base_.train_pipeline))
val_dataset = dict(
    _delete_=True,
    type='KittiBoxesSegDataset',
    data_root=data_root,
    ann_file='kitti_boxes_infos_val.pkl',
    pipeline=_base_.test_pipeline,
    test_mode=True)
val_dataloader = dict(dataset=val_dataset)
test_dataloader = dict(dataset=val_dataset)

submission = None  # there is no server
