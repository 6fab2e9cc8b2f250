import argparse

from benchmarks import pnp


def test_solvers_meet_their_targets(monkeypatch):
    # Ours and the bound are of the same problems: their ratio needs fewer than their medians.
    monkeypatch.setattr(pnp, 'OUTLIER_FACTOR', 2)
    rows = pnp.run(48, 128, seed=0, repeats=1)
    table = pnp.format_table(rows).splitlines()
    assert len(table) == len(rows) + 2
    assert all(line.count('|') == table[0].count('|') for line in table)
    for row, line in zip(rows, table[2:]):
        outliers = 'outliers' in row['problem']
        assert row['problem'] in line
        assert row['valid'] == 48 * (pnp.OUTLIER_FACTOR if outliers else 1)
        limit = 1.2 if outliers else 1.05
        for ours, bound in zip(row['ours'], row['bound']):
            assert ours <= limit * bound
        if row['gradient'] is not None:
            assert row['gradient'] <= 1e3


def test_the_command_prints_the_table(capsys, monkeypatch):
    monkeypatch.setattr(pnp, 'ROWS', pnp.ROWS[:1])
    parser = argparse.ArgumentParser()
    pnp.add_arguments(parser)
    pnp.main(parser.parse_args(['--problems', '2', '--repeats', '1', '--threads', '1']))
    assert '1 px noise' in capsys.readouterr().out
