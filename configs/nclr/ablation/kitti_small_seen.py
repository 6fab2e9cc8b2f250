"""The small KITTI configuration evaluated on the frames that it was trained on."""
_base_ = ['../pretrain_kitti_small.py']

test_dataloader = dict(
    dataset=dict(
        data_root='',
        reader=dict(
            _delete_=True,
            type='ConcatReader',
            parts={{_base_.train_dataloader.dataset.reader.parts}}),
        placements=2))
