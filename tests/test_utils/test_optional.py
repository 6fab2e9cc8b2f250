from __future__ import annotations

import math

import pytest

from nclr_plugin.utils.optional import optional_import


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
