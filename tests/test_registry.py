"""Classes that are imported when they are first used."""
import inspect

import pytest
from mmengine.registry import DATASETS, METRICS, MODELS, TRANSFORMS, Registry

import nclr_plugin  # noqa: F401
from nclr_plugin.registry import register_lazily

THINGS = Registry('thing')
OrderedDict = register_lazily(THINGS, 'OrderedDict', 'collections')


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
