# dataset settings
# KITTI 3D object: DATA_ROOT/training/{image_2,velodyne,calib}. The lists of frames are those of the
# benchmark, ImageSets/{train,val}.txt; `reader.frame_list=None` takes all frames in the folder.
_base_ = ['./semantickitti.py']
data_root = '{{$NCLR_KITTI_ROOT:data/kitti}}'

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        reader=dict(
            _delete_=True, type='KittiObjectReader', frame_list='ImageSets/train.txt')))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        reader=dict(_delete_=True, type='KittiObjectReader', frame_list='ImageSets/val.txt')))
test_dataloader = val_dataloader
