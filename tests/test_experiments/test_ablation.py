import pytest

from nclr_plugin.experiments.ablation import main, parse


@pytest.fixture
def run(configs, tools, tmp_path):
    """Function: the command line on the two rows."""
    return lambda *argv: main(tools.folder, [
        *map(str, configs), '--out', str(tmp_path / 'out'), *map(str, argv)])


def test_runs_once_and_writes_results(run, tools, tmp_path, capsys):
    run('--seeds', 0, 1, '--jobs', 2, '--test-set', 'far', 'model.width=9')
    assert len(tools.calls()) == 4 * 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '4 runs, 0 of them finished before and skipped'
    assert lines[4].startswith('[4/4] 0:00:') and 'to go' not in lines[4] and 'to go' in lines[1]
    assert 'recall 10 deg, 5 m test 0.500 (wrong image 0.250), far 0.500' in lines[1]
    results = {path.suffix: path for path in (tmp_path / 'out').glob('results.*')}
    assert set(results) == {'.csv', '.md', '.png'}
    assert len(results['.csv'].read_text().splitlines()) == 1 + 4 * 2
    assert "--test-set far model.width=9" in results['.md'].read_text()

    for path in results.values():
        path.unlink()
    run('--seeds', 0, 1, '--test-set', 'far', 'model.width=9')
    assert len(tools.calls()) == 12
    assert capsys.readouterr().out == '4 runs, 4 of them finished before and skipped\n'
    assert all(path.is_file() for path in results.values())


def test_a_failed_run_is_named_and_the_others_go_on(run, tools, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_info:
        run('--seeds', 13, 0)
    lines = str(exit_info.value.code).splitlines()
    assert lines[0] == '2 of 4 runs failed:'
    assert lines[1].startswith('  first seed 13: failed: exit status 1, see ')
    assert lines[1].endswith('first/seed_13/train.log: RuntimeError: an unlucky number')
    assert len((tmp_path / 'out' / 'results.csv').read_text().splitlines()) == 1 + 2
    assert '[4/4]' in capsys.readouterr().out


def test_an_error_of_ours_does_not_stop_the_others_either(run, tools, capsys):
    (tools.folder / 'test.py').write_text('')  # leaves no figures
    with pytest.raises(SystemExit, match='2 of 2 runs failed'):
        run()


def test_mistakes_end_in_a_sentence(configs, tmp_path):
    with pytest.raises(SystemExit, match='FileNotFoundError: gone.py: no such config'):
        main(tmp_path, ['gone.py', '--out', 'x'])
    with pytest.raises(SystemExit, match='ValueError: .* does not take the options'):
        main(tmp_path, [str(configs[0]), '--out', 'x', '--test-set', 'far', 'model.width.a=1'])
    with pytest.raises(SystemExit):
        parse(['a.py', '--out', 'x', '--jobs', '0'])
