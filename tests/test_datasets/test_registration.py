import pytest
from mmengine.registry import DATA_SAMPLERS, DATASETS, TASK_UTILS, TRANSFORMS

import nclr_plugin.datasets as datasets

REGISTRIES = (DATASETS, DATA_SAMPLERS, TASK_UTILS, TRANSFORMS)


def test_every_component_is_in_a_root_registry():
    registered = {name for registry in REGISTRIES for name in registry.module_dict}
    assert set(datasets.__all__) - registered == {'BrokenFrameError'}


def test_no_name_is_taken_by_mmdet3d():
    pytest.importorskip('mmdet3d', reason='mmdet3d is not installed')
    import mmdet3d.registry as theirs
    from mmdet3d.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    mmdet3ds = (theirs.DATASETS, theirs.DATA_SAMPLERS, theirs.TASK_UTILS, theirs.TRANSFORMS)
    for registry, of_mmdet3d in zip(REGISTRIES, mmdet3ds):
        for name in set(datasets.__all__) & set(registry.module_dict):
            assert of_mmdet3d.get(name) is getattr(datasets, name)
