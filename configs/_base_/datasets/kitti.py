# KITTI 3D object: DATA_ROOT/training/{image_2,velodyne,calib}. By default the benchmark's split
# files ImageSets/{train,val}.txt; `reader.frame_list=None` takes every frame that is there.
_base_ = ['./skitti.py']
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
