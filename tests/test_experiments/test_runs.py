import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nclr_plugin.experiments.ablation import plan_runs
from nclr_plugin.experiments.runs import (CONFIG_TEST_SET, TEST, TestSet, command_line, commit,
                                          differences, flatten, machine, parse_options,
                                          plan_tests, title_of, training_settings)


def test_every_row_and_seed_is_a_run_and_a_seed_is_finished_first(configs, tmp_path):
    runs = plan_runs([str(path) for path in configs], [0, 7, 0], str(tmp_path / 'out'))
    assert [run.name for run in runs] == ['first seed 0', 'second seed 0', 'first seed 7',
                                          'second seed 7']
    assert runs[3].folder == tmp_path / 'out' / 'second' / 'seed_7'


def test_seed_reaches_the_training_and_the_data_and_options_override_it(make_run):
    run = make_run(7, options=('test_dataloader.dataset.seed=1', 'model.width=5'))
    config = run.load(TestSet('other', ('model.width=6', )))
    assert config.randomness.seed == config.train_dataloader.dataset.seed == 7
    assert config.test_dataloader.dataset.seed == 1
    assert config.model.width == 6 and run.load().model.width == 5


def test_commands(make_run, tmp_path):
    run = make_run(7, options=('model.width=5', ))
    train = run.train_command(tmp_path)
    assert train[1:6] == [str(tmp_path / 'train.py'), str(run.config), '--work-dir',
                          str(run.folder), '--resume']
    assert train[6] == '--cfg-options' and train[-1] == 'model.width=5'
    assert 'randomness.seed=7' in train
    test = run.test_command(tmp_path, TestSet('far', ('a.b=1', )), 'x.pth')
    assert test[1:4] == [str(tmp_path / 'test.py'), str(run.config), 'x.pth']
    assert '--mismatched-image-control' in test and test[-2:] == ['model.width=5', 'a.b=1']
    assert test[test.index('--work-dir') + 1] == str(run.folder / 'tests' / 'far')


def test_test_sets():
    assert plan_tests([['far', 'a=1', 'b=2'], ['near']]) == [
        CONFIG_TEST_SET, TestSet('far', ('a=1', 'b=2')), TestSet('near')]
    for wrong in ([['a=1']], [['x'], ['x']], [[TEST]], [['a/b']]):
        with pytest.raises(ValueError, match='--test-set .*: expected a unique name'):
            plan_tests(wrong)


def test_mistakes_are_found_before_anything_runs(configs, tmp_path):
    twin = tmp_path / 'folder' / 'first.py'
    twin.parent.mkdir()
    twin.write_text(configs[0].read_text())
    first = str(configs[0])
    with pytest.raises(FileNotFoundError, match='gone.py: no such config'):
        plan_runs(['gone.py'], [0], 'out')
    with pytest.raises(ValueError, match='another config has the same file name'):
        plan_runs([first, str(twin)], [0], 'out')
    with pytest.raises(FileNotFoundError, match='gone.pth: no such checkpoint'):
        plan_runs([first], [0], 'out', checkpoint='gone.pth')
    with pytest.raises(ValueError, match="expected key=value, found 'model.width'"):
        plan_runs([first], [0], 'out', ['model.width'])
    with pytest.raises(ValueError, match='first.py does not take the options .*model.width.a=1'):
        plan_runs([first], [0], 'out', ['model.width.a=1'])


def test_options_are_read_like_mmdet3d_does():
    assert parse_options(['a.b=1', 'c=[00,x]', "d='e'", 'f=(1,2)', 'g=None']) == {
        'a.b': 1, 'c': [0, 'x'], 'd': 'e', 'f': (1, 2), 'g': None}
    assert parse_options([]) == {}


def test_title_is_the_first_line_of_the_docstring(configs, tmp_path):
    assert title_of(configs[0]) == 'The first row'
    (tmp_path / 'bare.py').write_text('a = 1\n')
    assert title_of(tmp_path / 'bare.py') == 'bare'


def test_flat_configs_and_their_differences():
    first = flatten(dict(a=dict(b=1, c=[dict(d=2.), dict(d=None)]), e=[1, 'x'], f={}))
    assert first == {'a.b': '1', 'a.c.0.d': '2.0', 'a.c.1.d': 'null', 'e': '[1, "x"]'}
    second = flatten(dict(a=dict(b=1, c=[dict(d=3.), dict(d=None)]), e=[1, 'x'], g=0))
    assert differences(first, second) == ['a.c.0.d', 'g'] == differences(second, first)


def test_training_does_not_depend_on_the_test_set(make_run):
    plain, other = make_run(), make_run(options=('test_dataloader.dataset.data_root=x', ))
    assert training_settings(plain) == training_settings(other)
    changed = make_run(options=('model.width=5', ))
    assert differences(training_settings(plain), training_settings(changed)) == ['model.width']


def test_commit_is_that_of_git():
    try:
        head = subprocess.check_output(['git', 'rev-parse', 'HEAD'], text=True,
                                       cwd=os.path.dirname(__file__), stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        assert commit() == 'unknown'
    else:
        assert head.startswith(commit().split('-')[0])


def test_machine_is_named():
    assert ' cores' in machine() and not machine().startswith(',')


def test_command_can_be_repeated():
    assert command_line('ablation.py', ['a.py', '--out', 'my dir'],
                        dict(NCLR_KITTI_ROOT='k', NCLR_DEMO_ROOT='a b')) \
        == "NCLR_DEMO_ROOT='a b' NCLR_KITTI_ROOT=k python tools/ablation.py a.py --out 'my dir'"


def test_threads_may_load_configs_at_the_same_time():
    """As several jobs do, whose configs have bases of mmdet3d."""
    pytest.importorskip('mmdet3d')
    config = Path(__file__).parents[2] / 'configs' / 'semseg' / 'minkunet_demo.py'
    run = plan_runs([str(config)], [0], 'out')[0]
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: run.load(), range(12)))
    assert all(config.model == loaded[0].model for config in loaded)
