# mmdet3d's MinkUNet-34 on spconv. NCLR_CHECKPOINT fills its backbone (none: from scratch), and
# NCLR_LINEAR_PROBE=1 freezes it.
_base_ = 'mmdet3d::_base_/models/minkunet.py'
pretrained = '{{$NCLR_CHECKPOINT:none}}'

model = dict(
    type='LinearProbeMinkUNet' if '{{$NCLR_LINEAR_PROBE:0}}' == '1' else 'MinkUNet',
    data_preprocessor=dict(type='SegDataPreprocessor', batch_first=True, max_voxels=None),
    backbone=dict(
        encoder_blocks=[2, 3, 4, 6],
        sparseconv_backend='spconv',
        init_cfg=dict(
            type='NCLRPretrained',
            checkpoint=None if pretrained in ('', 'none') else pretrained)))
