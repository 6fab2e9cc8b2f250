"""An exported checkpoint in mmdet3d's own config and train script, on a real scan."""
import copy
import gc
import pickle
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope

from nclr_plugin.checkpoints import export_backbone, load_pretrained
from nclr_plugin.utils.devices import set_sparse_algorithm

pytest.importorskip('mmdet3d')
NAME = 'minkunet34_w32_spconv_8xb2-laser-polar-mix-3x_semantickitti.py'
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
BLOCKS = [2, 3, 4, 6]


@pytest.fixture(scope='module')
def patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """What a pretraining run of the plugin leaves: the point branch and others."""
    torch.manual_seed(0)
    net = MODELS.build(dict(type='SplitMinkUNet', encoder_blocks=BLOCKS))
    for name, tensor in net.state_dict().items():
        if name.endswith('running_var'):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith('running_mean'):
            tensor.normal_(0, 0.1)
    state = {f'point_backbone.{name}': tensor for name, tensor in net.state_dict().items()}
    path = tmp_path_factory.mktemp('pretrained') / 'nclr.pth'
    torch.save(dict(state_dict={**state, 'overlap_head.weight': torch.zeros(1)}, meta={}), path)
    return str(path)


@pytest.fixture(scope='module')
def root(shared_data, tmp_path_factory):
    """A part of the one labelled scan, in mmdet3d's layout and with its index."""
    scan = shared_data / 'semantickitti_scan' / 'sequences' / '92'
    if not scan.is_dir():
        pytest.skip(f'no labelled scan: {scan} does not exist')
    root = tmp_path_factory.mktemp('semantickitti')
    points = np.fromfile(scan / 'velodyne/000100.bin', np.float32).reshape(-1, 4)
    labels = np.fromfile(scan / 'labels/000100.label', np.uint32)
    # Ahead, where a step with voxels of 0.05 m takes seconds.
    near = (points[:, 0] > 6) & (points[:, 0] < 16) & (np.abs(points[:, 1]) < 8)
    points[near].tofile(root / '000100.bin')
    labels[near].tofile(root / '000100.label')
    frame = dict(lidar_points=dict(lidar_path='000100.bin', num_pts_feats=4),
                 pts_semantic_mask_path='000100.label', sample_idx='92000100')
    for part in ('train', 'val'):
        (root / f'semantickitti_infos_{part}.pkl').write_bytes(pickle.dumps(
            dict(metainfo=dict(dataset='SemanticKITTI'), data_list=[frame])))
    return root


@pytest.fixture(scope='module')
def mmdet3d_run(pretrained, root, tmp_path_factory, patch):
    """What mmdet3d's script leaves, and its model as it was after loading."""
    import mmdet3d
    from mmengine.runner import Runner
    mim = Path(mmdet3d.__file__).parent / '.mim'
    work = tmp_path_factory.mktemp('work')
    report = export_backbone(pretrained, 'mmdet3d', str(work / 'backbone.pth'))
    assert not report.missing + report.unexpected

    # What mmdet3d needs on a CPU: its preprocessor puts its two index tensors on a GPU, and its
    # sparse convolutions take an algorithm for GPUs.
    patch.setattr(torch.Tensor, 'cuda', lambda tensor: tensor)
    patch.setattr('mmengine.device.utils.DEVICE', 'cpu')
    found, load_or_resume = [], Runner.load_or_resume

    def keep(runner):
        set_sparse_algorithm(runner.model, 'cpu')
        load_or_resume(runner)
        found.extend((runner, copy.deepcopy(runner.model)))

    patch.setattr(Runner, 'load_or_resume', keep)
    patch.setattr(sys, 'argv', [
        'train.py', str(mim / 'configs' / 'minkunet' / NAME), '--work-dir', str(work / 'train'),
        '--cfg-options', f'load_from={work / "backbone.pth"}', 'train_cfg.max_epochs=1',
        *(f'{part}_dataloader.dataset.data_root={root}' for part in ('train', 'val'))])
    runpy.run_path(str(mim / 'tools' / 'train.py'), run_name='__main__')
    runner, model = found
    end = SimpleNamespace(
        iter=runner.iter, cfg=runner.cfg, backbone=runner.model.backbone,
        miou=runner.message_hub.get_scalar('val/miou').current())
    # Its data loaders' processes end with it.
    found.clear()
    del runner
    gc.collect()
    return end, model.eval()


@pytest.fixture(scope='module')
def sample(mmdet3d_run):
    """The scan through mmdet3d's pipeline for tests, collated."""
    init_default_scope('mmdet3d')
    sample = DATASETS.build(mmdet3d_run[0].cfg.val_dataloader.dataset)[0]
    return dict(inputs={key: [value] for key, value in sample['inputs'].items()},
                data_samples=[sample['data_samples']])


def test_all_tensors_arrive_and_are_trained(mmdet3d_run, pretrained):
    end, model = mmdet3d_run
    source = torch.load(pretrained)['state_dict']
    loaded = model.backbone.state_dict()
    assert {f'point_backbone.{name}' for name in loaded} | {'overlap_head.weight'} == set(source)
    assert all(torch.equal(source[f'point_backbone.{n}'], t) for n, t in loaded.items())
    assert end.iter == 1 and 0 <= end.miou <= 1
    assert end.cfg.model.data_preprocessor.voxel_layer.voxel_size == [0.05] * 3
    for name, parameter in end.backbone.named_parameters():
        assert not torch.equal(parameter, loaded[name]), name


def test_logits_are_those_of_the_fine_tuning_config(mmdet3d_run, sample, pretrained):
    """Both from the points, on the voxels as they come; all but the preprocessor is shared."""
    theirs = mmdet3d_run[1]
    config = Config.fromfile(str(CONFIGS / 'semseg' / 'minkunet34_semantickitti.py'))
    config.model.backbone.init_cfg.checkpoint = pretrained
    init_default_scope('mmdet3d')
    ours = MODELS.build(config.model).eval()
    ours.init_weights()
    set_sparse_algorithm(ours, 'cpu')
    ours.decode_head.load_state_dict(theirs.decode_head.state_dict())
    logits = []
    for model in (ours, theirs):
        batch = model.data_preprocessor(copy.deepcopy(sample), False)
        with torch.no_grad():
            logits.append(model(batch['inputs'], mode='tensor'))
    assert len(logits[1]) > 5000 and logits[1].std() > 1e-3
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-5)


def whole_bottleneck_voxels(voxels):
    """Shift the scan's end to the end of a bottleneck voxel: mmdet3d drops what is in a part."""
    coors = voxels['coors'].clone()
    coors[:, 1:] += (-(coors[:, 1:].amax(0) + 1)) % 16
    return dict(voxels=voxels['voxels'], coors=coors)


def test_logits_are_those_of_the_pretraining_network(mmdet3d_run, sample, pretrained):
    """In two parts, between which pretraining fuses."""
    theirs = mmdet3d_run[1]
    ours = MODELS.build(dict(type='SplitMinkUNet', encoder_blocks=BLOCKS)).eval()
    set_sparse_algorithm(ours, 'cpu')
    load_pretrained(ours, pretrained)
    voxels = whole_bottleneck_voxels(
        theirs.data_preprocessor(copy.deepcopy(sample), False)['inputs']['voxels'])
    with torch.no_grad():
        expected = theirs(dict(voxels=voxels), mode='tensor')
        logits = theirs.decode_head(ours(voxels['voxels'], voxels['coors']))
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
