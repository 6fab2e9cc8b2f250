"""The pretraining configs of every point backbone: sizes, and a step of small ones."""
import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
import nclr_plugin  # noqa: E402,F401
from nclr_plugin.utils.devices import set_sparse_algorithm  # noqa: E402

CONFIGS = Path(__file__).resolve().parents[3] / 'configs' / 'nclr'
# Class, blocks of the encoder and millions of parameters.
BACKBONES = dict(
    minkunet18=('SplitMinkUNet', (2, 2, 2, 2), 21.7),
    spvcnn=('SplitSPVCNN', (2, 2, 2, 2), 21.8),
    resunet18=('SplitResUNet', (2, 2, 2, 2), 21.7),
    resunet34=('SplitResUNet', (2, 3, 4, 6), 37.8))
# What one uses for a step that is to cost a second.
SMALL = {
    'model.data_preprocessor.voxel_size': (0.5, 0.5, 0.5),
    'model.point_backbone.base_channels': 8,
    'model.point_backbone.encoder_channels': (8, 12, 16, 16),
    'model.point_backbone.encoder_blocks': (1, 1, 1, 1),
    'model.point_backbone.decoder_channels': (16, 12, 8, 8),
    'model.point_backbone.decoder_blocks': (1, 1, 1, 1),
    'model.image_branch.depth': 18,
    'model.image_branch.base_channels': 8,
    'model.image_branch.out_indices': (0, 1, 2),
    'model.image_branch.out_channels': 16,
    'model.image_branch.weights': None,
    'model.fusion.embed_dims': 24,
    'model.fusion.num_heads': 2,
    'model.fusion.num_layers': 1,
    'model.fusion.ffn_channels': 32,
    'model.pose_head.num_points': 32,
    'model.num_samples': 64,
}


def load(dataset, backbone):
    return Config.fromfile(str(CONFIGS / f'nclr_{backbone}_{dataset}.py'))


@pytest.mark.parametrize('backbone', BACKBONES)
def test_configs_differ_from_the_minkunet34_ones_in_the_backbone_alone(backbone):
    kind, blocks, millions = BACKBONES[backbone]
    for dataset, edge in (('semantickitti', 0.05), ('nuscenes', 0.1)):
        config = load(dataset, backbone)
        assert set(config.model.data_preprocessor.voxel_size) == {edge}
        assert config.model.point_backbone.type == kind
        assert tuple(config.model.point_backbone.encoder_blocks) == blocks
        plain = Config.fromfile(str(CONFIGS / f'nclr_minkunet34_{dataset}.py'))
        config.model.point_backbone = plain.model.point_backbone
        assert config.to_dict() == plain.to_dict()
    net = MODELS.build(load('semantickitti', backbone).model.point_backbone)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize(
    'name', ['nclr/nclr_minkunet_kitti_small', 'crossi2p/crossi2p_kitti_small'])
def test_few_real_frames_are_evaluated_on_those_left_out_or_on_those_trained_on(name):
    config, seen = (Config.fromfile(str(CONFIGS.parent / f'{name}{suffix}.py'))
                    for suffix in ('', '_trained_on'))
    trained_on, odometry = config.train_dataloader.dataset.reader.parts
    left_out = config.test_dataloader.dataset.reader.frame_list
    assert len(left_out) == 4 and not set(left_out) & set(trained_on.reader.frame_list)
    assert len(trained_on.reader.frame_list) == 16
    assert seen.test_dataloader.dataset.reader.parts == [trained_on, odometry]
    config, seen = config.to_dict(), seen.to_dict()
    for settings, repeats in ((config, 15), (seen, 2)):
        dataset = settings.pop('test_dataloader')['dataset']
        assert dataset['test_mode'] and dataset['repeats'] == repeats
        assert dataset['pipeline'] == settings['test_pipeline']
    assert config == seen


def step(config, batch, added=('loss_yaw', )):
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    set_sparse_algorithm(model, 'cpu')
    model.train()
    before = copy.deepcopy(model.state_dict())
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    sum(losses.values()).backward()
    assert set(losses) == {'loss_point', 'loss_pixel', 'loss_overlap', 'loss_pose', *added}
    assert all(value.isfinite() for value in losses.values())
    return model, before


@pytest.mark.parametrize('dataset', ['semantickitti', 'nuscenes'])
@pytest.mark.parametrize('backbone', BACKBONES)
def test_a_step_trains_every_parameter(dataset, backbone, batch):
    config = load(dataset, backbone)
    config.merge_from_dict(SMALL)
    model, _ = step(config, batch)
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('backbone', BACKBONES)
def test_a_frozen_image_encoder_is_left_alone_and_nothing_else(backbone, batch):
    config = load('semantickitti', backbone)
    config.merge_from_dict({**SMALL, 'model.image_branch.frozen': True})
    model, before = step(config, batch)
    for name, parameter in model.named_parameters():
        frozen = name.startswith('image_branch.encoder.')
        assert parameter.requires_grad != frozen, name
        assert (parameter.grad is None) == frozen, name
    for name, value in model.image_branch.encoder.state_dict().items():
        assert torch.equal(value, before[f'image_branch.encoder.{name}']), name


def test_a_step_of_the_paper_as_printed_has_its_three_losses_and_trains_every_parameter(batch):
    config = load('semantickitti_literal', 'minkunet34')
    config.merge_from_dict(SMALL)
    model, _ = step(config, batch, added=())
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in model.parameters())
    # Points and pixels are compared by what was decoded, and by nothing else.
    head = model.matching_head
    assert head.point_proj[0].in_features == model.point_backbone.out_channels
    assert head.pixel_proj[0].in_features == model.image_branch.out_channels
    moved = head.embed_points(torch.ones(2, 8), torch.tensor([[1., 2, 3], [-40, 5, 0]]))
    assert torch.equal(moved[0], moved[1])
    assert model.overlap_head.thresholds.tolist() == [0.5, 0.5]


def test_the_paper_as_printed_differs_from_the_default_by_what_the_readme_says():
    from nclr_plugin.experiments.runs import differences, flatten
    default, literal = (
        flatten(Config.fromfile(str(CONFIGS / f'{name}.py'), import_custom_modules=False).to_dict())
        for name in ('nclr_minkunet34_semantickitti', 'nclr_minkunet34_semantickitti_literal'))
    table = (CONFIGS / 'README.md').read_text().split('## How the default differs')[1]
    table = table.split('\n## ')[0]
    switches = {key for key in differences(default, literal) if 'pipeline' not in key}
    assert len(switches) >= 8
    # A head that is there has keys below it, one that is not is a null.
    assert [key for key in switches
            if key not in table and key.rpartition('.')[0] not in table] == []
    steps = Config.fromfile(str(CONFIGS / 'nclr_minkunet34_semantickitti_literal.py'),
                            import_custom_modules=False).train_dataloader.dataset.pipeline
    assert [part.type for part in steps] == [
        'LoadPoints', 'LoadImages', 'CropPoints', 'RandomRigidTransform', 'ResizeImages',
        'PackCalibrationInputs']
