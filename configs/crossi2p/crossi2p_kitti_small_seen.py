"""The small KITTI configuration of CrossI2P evaluated on the frames that it was trained on."""
_base_ = ['./crossi2p_kitti_small.py']

test_dataloader = dict(
    dataset=dict(
        data_root='',
        reader=dict(
            _delete_=True,
            type='ConcatReader',
            parts={{_base_.train_dataloader.dataset.reader.parts}}),
        placements=2))
