from __future__ import annotations

import math
import sys

import pytest
from mmengine.registry import Registry

from nclr_plugin.utils.optional import optional_import, register_placeholder


def test_returns_the_module():
    assert optional_import('math') is math


def test_missing_module_says_what_to_install():
    with pytest.raises(ImportError) as caught:
        optional_import('no_such_library.part', 'no-such-package', 'robust PnP')
    assert str(caught.value) == ('robust PnP needs no_such_library, which is not installed: '
                                 'pip install no-such-package')


def test_package_defaults_to_the_top_level_name():
    with pytest.raises(ImportError, match='pip install no_such_library$'):
        optional_import('no_such_library.part')


def test_broken_module_says_why(tmp_path, monkeypatch):
    (tmp_path / 'broken_library.py').write_text('raise ImportError("libGL.so.1 is missing")\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match='does not import: libGL.so.1 is missing'):
        optional_import('broken_library')


def test_dependency_missing_inside_a_module_is_not_blamed_on_it(tmp_path, monkeypatch):
    (tmp_path / 'needy_library.py').write_text('import no_such_library\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match='needy_library.*No module named .no_such_library'):
        optional_import('needy_library')


def test_placeholder_fails_when_built_not_when_registered():
    registry = Registry('toy')
    register_placeholder(registry, 'HostSegmentor', 'no_such_host', 'host3d')
    assert 'HostSegmentor' in registry
    with pytest.raises(ImportError, match='HostSegmentor needs no_such_host.*pip install host3d'):
        registry.build(dict(type='HostSegmentor', num_classes=3))


def test_placeholder_does_not_replace_a_class():
    registry = Registry('toy')
    registry.register_module(name='HostSegmentor', module=dict)
    with pytest.raises(KeyError, match='already registered'):
        register_placeholder(registry, 'HostSegmentor', 'no_such_host')
    assert registry.get('HostSegmentor') is dict


def test_placeholder_of_a_module_installed_meanwhile(tmp_path, monkeypatch):
    registry = Registry('toy')
    register_placeholder(registry, 'Late', 'late_library')
    (tmp_path / 'late_library.py').write_text('')
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match='in a new process'):
        registry.build(dict(type='Late'))
    sys.modules.pop('late_library')
