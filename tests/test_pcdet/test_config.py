"""OpenPCDet's YAML as arguments, and the YAML shipped here."""
from pathlib import Path

import pytest
import yaml

from nclr_plugin.pcdet.host import plain

CONFIGS = sorted((Path(__file__).resolve().parents[2] / 'configs' / 'pcdet').glob('*.yaml'))


class Easy(dict):
    """Has its keys as attributes, too, as EasyDict."""


def test_plain_copies_all_levels():
    node = Easy(a=[Easy(b=1)], c=(Easy(d='e'), ))
    copy = plain(node)
    assert copy == dict(a=[dict(b=1)], c=[dict(d='e')])
    assert type(copy) is type(copy['a'][0]) is type(copy['c'][0]) is dict
    assert copy['a'] is not node['a']


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_bases_exist_here_or_in_openpcdet(path):
    base = yaml.safe_load(path.read_text()).get('_BASE_CONFIG_')
    assert base is None or base.startswith('cfgs/') or (path.parent / base).is_file()
