"""nclr_minkunet_kitti_small.py, tested on its training frames, with two random transforms each."""
_base_ = ['./nclr_minkunet_kitti_small.py']

test_dataloader = dict(dataset=dict(_base_.train_frames, repeats=2))
