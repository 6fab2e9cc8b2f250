"""crossi2p_kitti_small.py, tested on its training frames, with two random transforms each."""
_base_ = ['./crossi2p_kitti_small.py']

test_dataloader = dict(
    dataset=dict(
        data_root='', reader=dict(_delete_=True, **_base_.training_frames), repeats=2))
