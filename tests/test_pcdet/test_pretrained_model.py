"""Files given as ``--pretrained_model``; in the real OpenPCDet, see test_weights.py."""
import pytest
import torch

from nclr_plugin.checkpoints import PretrainedWeightsError
from nclr_plugin.pcdet.pretrained_model import (check_pretrained_model, read_encoder,
                                                require_shapes)

NAME = 'backbone_3d.conv2.0.0.weight'
KERNEL = torch.zeros(32, 3, 3, 3, 16)


@pytest.fixture
def save(tmp_path):
    """Writes a checkpoint, and returns its path."""

    def write(content):
        torch.save(content, tmp_path / 'w.pth')
        return str(tmp_path / 'w.pth')

    return write


@pytest.mark.parametrize('content, words', [
    (dict(state_dict={'middle_encoder.encoder_layers.encoder_layer1.0.0.weight': KERNEL}),
     'found a SparseEncoder .*; write one by python tools/export_backbone.py'),
    (dict(state_dict={NAME: KERNEL}), r'found a Voxel\(Res\)BackBone8x .*; write one by'),
    (dict(model_state={'stem.0.kernel': KERNEL}), 'found a MinkUNet, .*; take a checkpoint of a'),
    (dict(model_state={'vfe.weight': KERNEL}), 'found no known network, .*vfe.weight'),
    (dict(epoch=3), "found \\['epoch'\\]"),
])
def test_files_without_the_encoder_are_refused(content, words, save):
    with pytest.raises(PretrainedWeightsError, match=words):
        read_encoder(save(content))


def test_the_encoder_alone_is_read(save):
    state = {NAME: KERNEL, 'dense_head.weight': KERNEL}
    assert list(read_encoder(save(dict(model_state=state)))) == [NAME]


def test_other_shapes_are_refused_with_both():
    own = {NAME: KERNEL, 'backbone_3d.conv2.0.1.weight': torch.zeros(32)}
    require_shapes('w.pth', {**own, NAME: KERNEL.permute(1, 2, 3, 4, 0)}, own)  # of spconv 1
    with pytest.raises(PretrainedWeightsError, match=r'found 1 missing or of another shape, first '
                       rf'{NAME}, \(32, 3, 3, 3, 16\) in the detector, \(32, 3, 3, 3, 5\) in'):
        require_shapes('w.pth', {**own, NAME: KERNEL[..., :5]}, own)
    with pytest.raises(PretrainedWeightsError, match=r'2.0.1.weight, \(32,\) in .*, none in the'):
        require_shapes('w.pth', {NAME: KERNEL}, own)


def test_detectors_without_a_sparse_encoder_are_left_alone():
    for model in (dict(), dict(BACKBONE_3D=dict(NAME='PointNet2MSG'))):
        assert check_pretrained_model('none.pth', dict(MODEL=model)) is None  # it is not read
    with pytest.raises(FileNotFoundError, match='none.pth'):
        check_pretrained_model('none.pth', dict(
            MODEL=dict(BACKBONE_3D=dict(NAME='VoxelBackBone8x'))))
