"""Optional dependencies: what their absence says, and classes imported when first used."""
from __future__ import annotations

import inspect
import math

import pytest
from mmengine.registry import DATASETS, METRICS, MODELS, TRANSFORMS, Registry

import nclr_plugin  # noqa: F401
from nclr_plugin.utils.optional import optional_import, register_lazily

THINGS = Registry('thing')
OrderedDict = register_lazily(THINGS, 'OrderedDict', 'collections')


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


@pytest.mark.parametrize('registry, name', [
    (MODELS, 'SplitMinkUNet'), (MODELS, 'SplitSPVCNN'), (MODELS, 'SplitResUNet'),
    (MODELS, 'SplitSparseEncoder'), (MODELS, 'LovaszMinkUNetHead'), (MODELS, 'PanopticMinkUNet'),
    (MODELS, 'SegDataPreprocessor'), (MODELS, 'LinearProbeMinkUNet'),
    (DATASETS, 'SemanticPossDataset'), (DATASETS, 'NuScenesSegDataset'),
    (TRANSFORMS, 'ScaleIntensity'), (METRICS, 'PanopticMetric')])
def test_the_registry_gives_a_class(registry, name):
    kind = registry.get(name)
    assert inspect.isclass(kind) and kind.__name__ == name


def test_building_the_placeholder_builds_the_class_and_registers_it():
    from collections import OrderedDict as real
    built = OrderedDict(a=1)
    assert type(built) is real and isinstance(built, OrderedDict)
    assert issubclass(real, OrderedDict) and not isinstance(3, OrderedDict)
    assert THINGS.get('OrderedDict') is real


def test_an_absent_package_is_named_with_the_way_to_install_it():
    missing = register_lazily(THINGS, 'Missing', 'collections', ('no_such_host', 'no-such-host'))
    with pytest.raises(ImportError, match='Missing needs no_such_host.*pip install no-such-host'):
        missing()
