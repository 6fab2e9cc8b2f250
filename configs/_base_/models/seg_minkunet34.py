# model settings
# mmdet3d's MinkUNet-34 on spconv. `tools/train.py --checkpoint FILE` fills its backbone (without:
# from scratch); `--cfg-options model.type=LinearProbeMinkUNet` freezes it.
_base_ = 'mmdet3d::_base_/models/minkunet.py'

model = dict(
    type='MinkUNet',
    data_preprocessor=dict(type='SegDataPreprocessor', batch_first=True, max_voxels=None),
    backbone=dict(
        encoder_blocks=[2, 3, 4, 6],
        sparseconv_backend='spconv',
        init_cfg=dict(type='NCLRPretrained', checkpoint=None)))
