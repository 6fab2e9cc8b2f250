"""nclr_minkunet_kitti_small.py, tested on the frames it was trained on, each placed twice."""
_base_ = ['./nclr_minkunet_kitti_small.py']

test_dataloader = dict(
    dataset=dict(
        data_root='', reader=dict(_delete_=True, **_base_.training_frames), repeats=2))
