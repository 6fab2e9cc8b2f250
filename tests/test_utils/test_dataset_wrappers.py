from types import SimpleNamespace

from nclr_plugin.utils.dataset_wrappers import innermost_configs, innermost_datasets


def test_data_sets_inside_nested_wrappers_are_found_in_order():
    first, second, third = (SimpleNamespace(name=name) for name in 'abc')
    nested = SimpleNamespace(datasets=[
        SimpleNamespace(dataset=SimpleNamespace(datasets=[first, second])), third])
    assert innermost_datasets(nested) == [first, second, third]


def test_a_data_set_without_a_wrapper_is_itself():
    plain = SimpleNamespace(name='a')
    assert innermost_datasets(plain) == [plain]
    config = dict(type='CalibrationDataset')
    assert innermost_configs(config)[0] is config


def test_configs_are_parts_and_not_copies():
    inner = [dict(type='A'), dict(type='B'), dict(type='C')]
    config = dict(type='ConcatDataset', datasets=[
        dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=inner[:2])),
        dict(type='CBGSDataset', dataset=inner[2])])
    found = innermost_configs(config)
    assert [each['type'] for each in found] == ['A', 'B', 'C']
    assert all(each is expected for each, expected in zip(found, inner))
