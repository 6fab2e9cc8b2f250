import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'uv_pip.py'


@pytest.fixture(scope='module')
def tool():
    return runpy.run_path(str(TOOL))


LISTING = r"""
:env:.extra-index-url='https://other/simple'
:env:.default-timeout='7'
global.index-url='https://mirror/simple'
global.extra-index-url='https://one/simple\nhttps://two/simple'
global.proxy='http://proxy:3128'
install.find-links='/wheels /more'
install.constraint='limits.txt'
download.find-links='/not/for/install'
freeze.all='1'
"""


def test_later_sections_win_and_other_commands_do_not_count(tool):
    settings = tool['read_settings'](LISTING)
    assert settings['index-url'] == 'https://mirror/simple'
    assert settings['extra-index-url'] == 'https://other/simple'
    assert settings['find-links'] == '/wheels /more'
    assert settings['timeout'] == '7'


def test_settings_become_options_and_variables(tool):
    settings = tool['read_settings'](LISTING.replace(':env:.extra', ':else:.extra'))
    options = tool['uv_options'](settings)
    assert [options[k:k + 2] for k in range(0, 12, 2)] == [
        ['--default-index', 'https://mirror/simple'], ['--index', 'https://one/simple'],
        ['--index', 'https://two/simple'], ['--find-links', '/wheels'],
        ['--find-links', '/more'], ['--constraints', 'limits.txt']]
    assert options[12:] == ['--index-strategy', 'unsafe-best-match']
    assert tool['uv_variables'](settings) == {
        'HTTPS_PROXY': 'http://proxy:3128', 'HTTP_PROXY': 'http://proxy:3128',
        'UV_HTTP_TIMEOUT': '7'}


@pytest.mark.parametrize('value, options', [('1', ['--no-index']), ('true', ['--no-index']),
                                            ('no', []), ('0', [])])
def test_no_index_is_a_switch(tool, value, options):
    assert tool['uv_options']({'no-index': value}) == options


def test_without_settings_nothing_is_passed_on(tool):
    assert tool['uv_options']({}) == [] and tool['uv_variables']({}) == {}


def test_a_folder_of_wheels_serves_an_installation_without_network(tmp_path):
    """With the uv of this environment, or its pip."""
    source = tmp_path / 'source'
    source.mkdir()
    (source / 'setup.py').write_text(
        'from setuptools import setup; setup(name="nclr-nothing", version="1.5", py_modules=[])')
    wheels = str(tmp_path / 'wheels')
    build = f'from setuptools import build_meta; build_meta.build_wheel({wheels!r})'
    Path(wheels).mkdir()
    subprocess.run([sys.executable, '-c', build], cwd=str(source), check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    command = [sys.executable, str(TOOL), 'install', '--no-deps', '--target',
               str(tmp_path / 'there'), 'nclr-nothing']
    environment = dict(os.environ, PIP_NO_INDEX='1', PIP_CONFIG_FILE=os.devnull)
    environment.pop('PIP_FIND_LINKS', None)
    assert subprocess.call(command, env=environment, stderr=subprocess.DEVNULL) != 0
    environment['PIP_FIND_LINKS'] = wheels
    assert subprocess.call(command, env=environment) == 0
    assert list((tmp_path / 'there').glob('nclr_nothing-1.5.dist-info'))
