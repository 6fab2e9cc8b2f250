# dataset settings
# KITTI object frames labelled by their boxes: ROOT/kitti_object/{training,ImageSets}; labels and
# infos by `tools/create_infos.py kitti_boxes ROOT/kitti_object`.
_base_ = './semanticposs_seg.py'
data_root = '{{$NCLR_REAL_ROOT:data/real}}/kitti_object'

dataset = dict(type='KittiBoxesSegDataset', data_root=data_root)
train_dataloader = dict(dataset=dict(dataset, ann_file='kitti_boxes_infos_train.pkl'))
val_dataloader = dict(dataset=dict(dataset, ann_file='kitti_boxes_infos_val.pkl'))
test_dataloader = val_dataloader
