"""Plain files for mmdet3d and OpenPCDet, without the plugin at fine-tuning time."""
import json
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

import nclr_plugin.checkpoints  # noqa: F401, registers the back end of hf://
from nclr_plugin.checkpoints import PretrainedWeightsError, export_backbone, load_pretrained
from nclr_plugin.checkpoints.export import publish
from nclr_plugin.checkpoints.voxels import voxels_of_checkpoint

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def out(tmp_path):
    return str(tmp_path / 'exported' / 'out.pth')


def assemble(**parts):
    """A model that has the given networks as its parts."""
    model = nn.Module()
    for name, part in parts.items():
        model.add_module(name, part)
    return model


def test_a_segmentor_loads_the_file_with_mmdet3ds_loader(minkunet, save, equal, out):
    source, model = minkunet(), assemble(backbone=minkunet(seed=1), head=nn.Linear(2, 2))
    state = {**{f'point_backbone.{k}': v for k, v in source.state_dict().items()},
             'point_backbone.other.weight': torch.zeros(1),
             'image_backbone.layer1.0.conv1.weight': torch.zeros(1)}
    report = export_backbone(save(state), 'mmdet3d', out)
    assert report.matched == [name for name in source.state_dict()
                              if not name.endswith('num_batches_tracked')]
    assert report.unexpected == ['other.weight'] and not report.missing + report.reshaped
    load_checkpoint(model, out, map_location='cpu')
    assert equal(source, model.backbone)
    assert set(torch.load(out)['state_dict']) == {f'backbone.{k}' for k in source.state_dict()}


def test_a_detector_loads_the_file_with_mmdet3ds_loader(sparse_encoder, save, equal, out):
    source, model = sparse_encoder(), assemble(middle_encoder=sparse_encoder(1))
    export_backbone(save(source.state_dict(), prefix='point_backbone.'), 'mmdet3d', out)
    load_checkpoint(model, out, map_location='cpu')
    assert equal(source, model.middle_encoder)


def test_the_voxels_of_pretraining_are_still_known(sparse_encoder, tmp_path, out):
    text = 'model = dict(data_preprocessor=dict(voxel_size=[0.05, 0.05, 0.1]))'
    state = {f'point_backbone.{k}': v for k, v in sparse_encoder().state_dict().items()}
    torch.save(dict(meta=dict(cfg=text), state_dict=state), str(tmp_path / 'run.pth'))
    export_backbone(str(tmp_path / 'run.pth'), 'mmdet3d', out)
    assert voxels_of_checkpoint(out).size == (0.05, 0.05, 0.1)


def test_without_the_version_mmdet3d_would_permute(minkunet, save, equal, out):
    """The metadata is what makes the difference."""
    source, model = minkunet(), assemble(backbone=minkunet(seed=1))
    export_backbone(save(source.state_dict()), 'mmdet3d', out)
    state = torch.load(out)['state_dict']
    assert state._metadata['backbone.conv_input.0.0'] == dict(version=2)
    del state._metadata
    torch.save(dict(state_dict=state), out)
    load_checkpoint(model, out, map_location='cpu')
    assert not equal(source, model.backbone)


@pytest.mark.parametrize('minkowski', [False, True], ids=['TorchSparse', 'MinkowskiEngine'])
def test_published_checkpoints_are_exported(minkunet, published, save, equal, out, minkowski):
    source, model = minkunet(), assemble(backbone=minkunet(seed=1))
    report = export_backbone(save(published(source, minkowski), prefix='encoder.'), 'mmdet3d', out)
    assert len(report.reshaped) == 49
    load_checkpoint(model, out, map_location='cpu')
    assert equal(source, model.backbone)


def test_openpcdets_names(sparse_encoder, openpcdet_shapes, save, out):
    source = sparse_encoder()
    export_backbone(save(source.state_dict(), prefix='point_backbone.'), 'openpcdet', out)
    exported = torch.load(out)['model_state']
    assert {name: tuple(t.shape) for name, t in exported.items()} == {
        f'backbone_3d.{name}': shape for name, shape in openpcdet_shapes.items()}
    assert torch.equal(exported['backbone_3d.conv4.2.0.weight'],
                       source.encoder_layers.encoder_layer4[2][0].weight)


def test_openpcdets_residual_names_and_back(residual_encoder, openpcdet_residual_names, save,
                                            tmp_path):
    """OpenPCDet's blocks have biases: zeros there, and on the way back in the norms' means."""
    source, target = residual_encoder(), residual_encoder(1)
    there, back = str(tmp_path / 'there.pth'), str(tmp_path / 'back.pth')
    export_backbone(save(source.state_dict(), prefix='point_backbone.'), 'openpcdet', there)
    exported = torch.load(there)
    state = exported['model_state']
    assert set(state) == {f'backbone_3d.{name}' for name in openpcdet_residual_names}
    down = source.encoder_layers.encoder_layer2[2][0].weight
    assert torch.equal(state['backbone_3d.conv3.0.0.weight'], down)
    assert not state['backbone_3d.conv4.1.conv2.bias'].any()

    state['backbone_3d.conv4.1.conv2.bias'] += 0.5
    torch.save(exported, there)
    export_backbone(there, 'mmdet3d', back)
    load_checkpoint(assemble(middle_encoder=target), back, map_location='cpu')
    expected = source.state_dict()
    expected['encoder_layers.encoder_layer4.0.bn2.running_mean'] -= 0.5
    fresh = residual_encoder(2)
    assert load_pretrained(fresh, there).layout == 'OpenPCDet, residual'
    for loaded in (target.state_dict(), fresh.state_dict()):
        assert list(loaded) == list(expected)
        assert all(torch.equal(loaded[name], expected[name]) for name in loaded)


def test_an_encoder_that_openpcdet_does_not_have(residual_encoder, save, out):
    path = save(residual_encoder(first_stage=(16, 32)).state_dict())
    with pytest.raises(PretrainedWeightsError, match=r'VoxelResBackBone8x, found \[2, 3, 3, 2\]'):
        export_backbone(path, 'openpcdet', out)
    assert not Path(out).exists()


def test_a_whole_detector_goes_there_and_back(sparse_encoder, openpcdet_bev_names, save, equal,
                                              tmp_path):
    backbones = pytest.importorskip('mmdet3d.models.backbones')
    necks = pytest.importorskip('mmdet3d.models.necks')

    def detector(seed):
        torch.manual_seed(seed)
        return assemble(middle_encoder=sparse_encoder(seed),
                        backbone=backbones.SECOND(256, [128, 256], [5, 5], [1, 2]),
                        neck=necks.SECONDFPN([128, 256], [256, 256], [1, 2]))

    source, target = detector(0), detector(1)
    there, back = str(tmp_path / 'there.pth'), str(tmp_path / 'back.pth')
    export_backbone(save(source.state_dict()), 'openpcdet', there)
    names = torch.load(there)['model_state']
    assert {n for n in names if n.startswith('backbone_2d.')} == {
        f'backbone_2d.{name}' for name in openpcdet_bev_names}
    # the padding of OpenPCDet is a layer of its own
    assert torch.equal(names['backbone_2d.blocks.1.4.weight'], source.backbone.blocks[1][3].weight)
    export_backbone(there, 'mmdet3d', back)
    load_checkpoint(target, back, map_location='cpu')
    assert equal(source, target)

    # and straight into a part
    fresh = detector(2)
    assert load_pretrained(fresh.backbone, there).prefix == 'backbone_2d.'
    load_pretrained(fresh.neck, there)
    assert equal(source.backbone, fresh.backbone) and equal(source.neck, fresh.neck)


def test_an_incomplete_backbone_is_not_written(minkunet, save, out):
    state = minkunet().state_dict()
    del state['decoder.2.1.1.bn2.running_mean']
    with pytest.raises(PretrainedWeightsError, match='missing 1: decoder.2.1.1.bn2.running_mean'):
        export_backbone(save(state), 'mmdet3d', out)
    assert not Path(out).exists()
    assert export_backbone(save(state), 'mmdet3d', out, min_match=0.9).missing


def test_an_spvcnn_needs_its_whole_point_branch(spvcnn, save, out):
    state = spvcnn().state_dict()
    assert not export_backbone(save(state), 'mmdet3d', out).missing
    state = {n: t for n, t in state.items() if not n.startswith('point_transforms.2.')}
    with pytest.raises(PretrainedWeightsError, match='missing 6: point_transforms.2.0.weight'):
        export_backbone(save(state), 'mmdet3d', out)


def test_blocks_that_change_the_width_need_a_shortcut(minkunet, save, out):
    state = {n: t for n, t in minkunet().state_dict().items() if 'downsample' not in n}
    with pytest.raises(PretrainedWeightsError, match='missing 35: decoder.0.1.0.downsample.0'):
        export_backbone(save(state), 'mmdet3d', out)


def test_what_is_no_point_backbone(minkunet, save, out):
    with pytest.raises(PretrainedWeightsError, match='looks like an image ResNet'):
        export_backbone(save({'layer1.0.conv1.weight': torch.zeros(1)}), 'mmdet3d', out)
    with pytest.raises(PretrainedWeightsError, match='found a MinkUNet, which OpenPCDet does not'):
        export_backbone(save(minkunet().state_dict()), 'openpcdet', out)


def test_the_command(minkunet, save, out, load_tool, capsys, tmp_path):
    path, main = save(minkunet().state_dict(), prefix='point_backbone.'), load_tool(
        'export_backbone').main
    main([path, '--to', 'mmdet3d', '--out', out])
    printed = capsys.readouterr().out
    assert f"{path}: 245 of 245 tensors match under the prefix 'point_backbone.'" in printed
    assert 'matched 245: conv_input.0.0.weight' in printed and f'written: {out}' in printed
    with pytest.raises(SystemExit, match='FileNotFoundError: .*no.pth'):
        main([str(tmp_path / 'no.pth'), '--to', 'mmdet3d', '--out', out])


@pytest.fixture
def checkpoint(tmp_path):
    net = nn.Linear(30, 40)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 30)).sum().backward()
    optimizer.step()
    path = tmp_path / 'iter_7.pth'
    torch.save(dict(meta=dict(cfg='model = dict(type="NCLR")\n', iter=7, seed=3,
                              experiment_name='mine'),
                    state_dict=net.state_dict(), optimizer=optimizer.state_dict(),
                    message_hub=dict(log=[0.] * 1000)), path)
    return path


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves ``tmp_path/web``; torch's folder of checkpoints is a new one."""
    (tmp_path / 'web').mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / 'web'))
    found = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    yield f'http://127.0.0.1:{found.server_port}'
    found.shutdown()


def _publish(checkpoint, out, **kwargs):
    return publish(str(checkpoint), str(out), **{**dict(
        name='My weights', data='Nine frames.', license_id='cc-by-nc-sa-3.0',
        terms='Be kind.'), **kwargs})


def test_the_file_has_weights_and_config_alone(checkpoint, tmp_path):
    path = _publish(checkpoint, tmp_path / 'out')
    content, source = torch.load(path), torch.load(checkpoint)
    assert set(content) == {'meta', 'state_dict'}
    assert content['meta']['cfg'] == source['meta']['cfg'] and content['meta']['iter'] == 7
    for name, tensor in source['state_dict'].items():
        assert torch.equal(content['state_dict'][name], tensor)
    assert path.stat().st_size < checkpoint.stat().st_size / 2


def test_the_card_says_what_they_are(checkpoint, tmp_path):
    figures = tmp_path / 'figures.json'
    figures.write_text(json.dumps({'calibration/recall': 0.91234, 'note': 'text',
                                   'mismatched_image/recall': 0.1}))
    _publish(checkpoint, tmp_path / 'out', figures=str(figures))
    card = (tmp_path / 'out/README.md').read_text()
    assert card.startswith('---\nlicense: cc-by-nc-sa-3.0\n')
    for words in ('# My weights', 'Nine frames.', 'Be kind.', '7 steps, seed 3',
                  '| calibration/recall | 0.9123 |', '| mismatched_image/recall | 0.1 |'):
        assert words in card, words
    assert 'text' not in card.split('## Figures')[1].split('## Use')[0]
    assert 'None were measured' in _card_without_figures(checkpoint, tmp_path)


def _card_without_figures(checkpoint, tmp_path):
    _publish(checkpoint, tmp_path / 'plain')
    return (tmp_path / 'plain/README.md').read_text()


def test_what_cannot_be_published_is_told(checkpoint, tmp_path):
    with pytest.raises(PretrainedWeightsError, match='at most 0.001 MB, found'):
        _publish(checkpoint, tmp_path / 'out', max_megabytes=0.001)
    assert not (tmp_path / 'out/weights.pth').exists()
    torch.save(nn.Linear(3, 4).state_dict(), tmp_path / 'bare.pth')
    with pytest.raises(PretrainedWeightsError, match='expected the config of its training'):
        _publish(tmp_path / 'bare.pth', tmp_path / 'out')


def test_they_load_from_a_path_the_web_and_the_hub(checkpoint, tmp_path, server, monkeypatch):
    path = _publish(checkpoint, tmp_path / 'web/me/mine/resolve/main')
    _publish(_other(checkpoint, tmp_path), tmp_path / 'web/me/other/resolve/v2')
    monkeypatch.setenv('HF_ENDPOINT', server)
    expected = torch.load(path)['state_dict']['weight']
    for address in (str(path), f'{server}/me/mine/resolve/main/weights.pth',
                    'hf://me/mine/weights.pth'):
        content = CheckpointLoader.load_checkpoint(address, map_location='cpu', logger='silent')
        assert torch.equal(content['state_dict']['weight'], expected), address
    # Of the same name, in another repository.
    other = CheckpointLoader.load_checkpoint('hf://me/other@v2/weights.pth', map_location='cpu',
                                             logger='silent')
    assert not torch.equal(other['state_dict']['weight'], expected)
    with pytest.raises(PretrainedWeightsError, match='expected hf://OWNER/NAME/FILE'):
        CheckpointLoader.load_checkpoint('hf://weights.pth')


def _other(checkpoint, tmp_path):
    content = torch.load(checkpoint)
    content['state_dict']['weight'] = content['state_dict']['weight'] + 1
    torch.save(content, tmp_path / 'other.pth')
    return tmp_path / 'other.pth'


def test_command_line(checkpoint, tmp_path):
    command = [sys.executable, str(REPO / 'tools/publish.py')]
    env = dict(os.environ, PYTHONPATH=str(REPO))
    subprocess.run([*command, str(checkpoint), '--out', str(tmp_path / 'out')], check=True, env=env)
    assert 'license: cc-by-nc-sa-3.0' in (tmp_path / 'out/README.md').read_text()
    assert (tmp_path / 'out/weights.pth').is_file()
    failed = subprocess.run([*command, str(tmp_path / 'none.pth'), '--out', 'out'], env=env,
                            stderr=subprocess.PIPE, universal_newlines=True)
    assert failed.returncode == 1 and 'none.pth' in failed.stderr
    assert 'Traceback' not in failed.stderr
