import pytest

from nclr_plugin.experiments.label_plan import parse_checkpoints, plan_label_runs
from nclr_plugin.experiments.plan import differences, training_settings


@pytest.fixture
def plan(fine_tuning, weights, tmp_path):
    """Function: the runs of the config."""

    def plan(fractions=(1, 10), seeds=(0, 1), options=(), checkpoints=None):
        checkpoints = {'pretrained': str(weights)} if checkpoints is None else checkpoints
        return plan_label_runs(str(fine_tuning), checkpoints, fractions, seeds,
                               str(tmp_path / 'out'), options)

    return plan


def test_every_combination_is_a_run_and_a_seed_is_finished_first(plan, tmp_path):
    runs = plan((10, .1, 10))
    assert [(r.init, r.fraction, r.run.seed) for r in runs] == [
        (init, fraction, seed) for seed in (0, 1) for fraction in (.1, 10)
        for init in ('scratch', 'pretrained')]
    assert runs[1].run.folder == tmp_path / 'out' / 'pretrained' / 'fraction_0.1' / 'seed_0'
    assert len({r.run.folder for r in runs}) == len(runs)


def test_config_is_filled_in_whatever_is_set_outside(plan, weights, monkeypatch):
    monkeypatch.setenv('NCLR_CHECKPOINT', 'of_the_user.pth')
    monkeypatch.setenv('NCLR_FRACTION', '77')
    scratch, pretrained = (r.run.load() for r in plan([.1], [5], ['model.width=6']))
    assert scratch.percent == pretrained.percent == .1
    assert scratch.model.checkpoint == 'none' and pretrained.model.checkpoint == str(weights)
    assert scratch.randomness.seed == 5 and scratch.model.width == 6


def test_settings_know_the_weights_by_their_content(plan, weights, tmp_path):
    before = training_settings(plan()[1].run)
    moved = weights.rename(tmp_path / 'moved.pth')
    assert training_settings(plan(checkpoints={'pretrained': str(moved)})[1].run) == before
    moved.write_bytes(b'other weights')
    after = training_settings(plan(checkpoints={'pretrained': str(moved)})[1].run)
    assert differences(before, after) == ['model.checkpoint']
    assert str(tmp_path) not in str(after)


def test_names_of_checkpoints(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a=b.pth').write_bytes(b'')
    assert parse_checkpoints([str(weights)]) == {'pretrained': str(weights)}
    assert parse_checkpoints([f'ours={weights}', 'a=b.pth']) == {
        'ours': str(weights), 'pretrained': 'a=b.pth'}
    with pytest.raises(FileNotFoundError, match='no such file gone.pth; expected FILE or NAME='):
        parse_checkpoints(['ours=gone.pth'])
    for words in ([f'scratch={weights}'], [f'a/b={weights}'], [f'={weights}'], [str(weights)] * 2):
        with pytest.raises(ValueError, match='with a name of its own'):
            parse_checkpoints(words)


@pytest.mark.parametrize('fraction', [0, -1, 100.5, float('nan')])
def test_fractions_are_percent(plan, fraction):
    with pytest.raises(ValueError, match='--fractions .*: expected percent, above 0 and at most'):
        plan([fraction])


@pytest.mark.parametrize('name', ['NCLR_FRACTION', 'NCLR_CHECKPOINT'])
def test_a_config_that_ignores_a_variable_is_refused(plan, fine_tuning, name):
    fine_tuning.write_text(fine_tuning.read_text().replace(name, 'NCLR_ELSE'))
    with pytest.raises(ValueError, match=f'tuning.py does not read the variable {name}'):
        plan()


def test_a_config_that_loads_weights_where_resuming_drops_them_is_refused(plan, fine_tuning):
    fine_tuning.write_text(fine_tuning.read_text() + "load_from = model['checkpoint']\n")
    with pytest.raises(ValueError, match="sets load_from='none', which a resumable training drops"):
        plan()


def test_mistakes_are_found_before_anything_runs(plan, tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.py: no such config'):
        plan_label_runs('gone.py', {}, [1], [0], str(tmp_path))
    with pytest.raises(ValueError, match='does not take the options .*model.width.a=1'):
        plan(options=['model.width.a=1'])
