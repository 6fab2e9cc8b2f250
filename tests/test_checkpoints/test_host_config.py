"""An exported checkpoint in the host's own config and runner, on a real scan."""
import pickle

import pytest
import torch
from mmengine.registry import DATASETS, MODELS, init_default_scope

from nclr_plugin.checkpoints import export_backbone, load_pretrained
from nclr_plugin.utils.sparse import set_sparse_algorithm

pytest.importorskip('mmdet3d')
CONFIG = 'mmdet3d::minkunet/minkunet34_w32_spconv_8xb2-laser-polar-mix-3x_semantickitti.py'
BLOCKS = [2, 3, 4, 6]


@pytest.fixture
def pretrained(save):
    """What a pretraining run of the plugin leaves: the point branch and others."""
    torch.manual_seed(0)
    net = MODELS.build(dict(type='SplitMinkUNet', encoder_blocks=BLOCKS))
    for name, tensor in net.state_dict().items():
        if name.endswith('running_var'):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith('running_mean'):
            tensor.normal_(0, 0.1)
    state = {f'point_backbone.{name}': tensor for name, tensor in net.state_dict().items()}
    return save({**state, 'overlap_head.weight': torch.zeros(1)}, meta={})


@pytest.fixture
def infos(shared_data, tmp_path):
    """The host's index of the one labelled scan."""
    scan = shared_data / 'semantickitti_scan' / 'sequences' / '92'
    if not scan.is_dir():
        pytest.skip(f'no labelled scan: {scan} does not exist')
    frame = dict(
        lidar_points=dict(lidar_path=str(scan / 'velodyne/000100.bin'), num_pts_feats=4),
        pts_semantic_mask_path=str(scan / 'labels/000100.label'), sample_idx='92000100')
    path = tmp_path / 'infos.pkl'
    path.write_bytes(pickle.dumps(dict(metainfo=dict(dataset='SemanticKITTI'), data_list=[frame])))
    return str(path)


@pytest.fixture
def runner(infos, pretrained, tmp_path, monkeypatch):
    """The host's config; only paths, the length and the voxel size of the test are set."""
    from mmengine.hub import get_config
    from mmengine.runner import Runner
    exported = str(tmp_path / 'backbone.pth')
    report = export_backbone(pretrained, 'mmdet3d', exported)
    assert not report.missing + report.unexpected
    cfg = get_config(CONFIG)
    cfg.merge_from_dict({
        'load_from': exported, 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_epochs': 1,
        'train_dataloader.dataset.ann_file': infos, 'train_dataloader.dataset.data_root': '',
        'val_dataloader.dataset.ann_file': infos, 'val_dataloader.dataset.data_root': '',
        'train_dataloader.batch_size': 1, 'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False, 'randomness.seed': 0,
        'model.data_preprocessor.voxel_layer.voxel_size': [0.4] * 3,
        'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None,
        'test_cfg': None, 'test_dataloader': None, 'test_evaluator': None})
    # The host's preprocessor puts its two index tensors on a GPU: leave them where they are.
    monkeypatch.setattr(torch.Tensor, 'cuda', lambda tensor: tensor)
    runner = Runner.from_cfg(cfg)
    set_sparse_algorithm(runner.model, 'cpu')
    return runner


def scan_batch(runner, infos):
    """The scan through the host's test pipeline and preprocessor."""
    cfg = runner.cfg.train_dataloader.dataset
    init_default_scope('mmdet3d')
    dataset = DATASETS.build(dict(cfg, pipeline=runner.cfg.test_pipeline, ann_file=infos))
    model = runner.model.eval()
    sample = dataset[0]
    return model.data_preprocessor(
        dict(inputs={k: [v] for k, v in sample['inputs'].items()},
             data_samples=[sample['data_samples']]), False)


def whole_bottleneck_voxels(voxels):
    """Shift the scan's end to the end of a bottleneck voxel: the host drops what is in a part."""
    coors = voxels['coors'].clone()
    coors[:, 1:] += (-(coors[:, 1:].amax(0) + 1)) % 16
    return dict(voxels=voxels['voxels'], coors=coors)


def test_load_from_in_the_hosts_config(runner, pretrained, infos):
    """All tensors equal, the same logits as the plugin's network, and it trains."""
    runner.load_or_resume()
    model = runner.model
    source = torch.load(pretrained)['state_dict']
    loaded = model.backbone.state_dict()
    assert {f'point_backbone.{name}' for name in loaded} | {'overlap_head.weight'} == set(source)
    assert all(torch.equal(source[f'point_backbone.{n}'], t) for n, t in loaded.items())

    ours = MODELS.build(dict(type='SplitMinkUNet', encoder_blocks=BLOCKS)).eval()
    set_sparse_algorithm(ours, 'cpu')
    load_pretrained(ours, pretrained)
    voxels = whole_bottleneck_voxels(scan_batch(runner, infos)['inputs']['voxels'])
    with torch.no_grad():
        theirs = model(dict(voxels=voxels), mode='tensor')
        logits = model.decode_head(ours(voxels['voxels'], voxels['coors']))
    assert len(logits) > 5000 and theirs.std() > 0.01
    torch.testing.assert_close(logits, theirs, rtol=1e-5, atol=1e-5)

    runner.train()
    assert runner.iter == 1
    assert not torch.equal(source['point_backbone.conv_input.0.0.weight'],
                           model.backbone.state_dict()['conv_input.0.0.weight'])
