"""Weights for others, their model card, and the addresses they are loaded from."""
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
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

import nclr_plugin.checkpoints  # noqa: F401
from nclr_plugin.checkpoints.publish import publish
from nclr_plugin.errors import PretrainedWeightsError

REPO = Path(__file__).resolve().parents[2]


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
