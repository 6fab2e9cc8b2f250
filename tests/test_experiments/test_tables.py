"""The table of methods and data sets from results that are known."""
import csv
import math

import pytest

from nclr_plugin.experiments.tables import markdown_table, mean_and_deviation

FIGURES = {'corri2p_10_5_rre_deg_mean': 0.871, 'corri2p_10_5_rre_deg_std': 0.33,
           'corri2p_10_5_rte_m_mean': 0.18, 'corri2p_10_5_rte_m_std': 0.11,
           'inlier_ratio_5px': 0.8874, 'corri2p_10_5_recall_10deg_5m': 1.}


def cells(table):
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines()]


def test_columns_are_padded_to_their_longest_cell():
    table = markdown_table([dict(name='a', value=1), dict(name='longer', value=23)])
    assert len({len(line) for line in table.splitlines()}) == 1
    header, rule, *rows = cells(table)
    assert header == ['name', 'value'] and rows == [['a', '1'], ['longer', '23']]
    assert set(''.join(rule)) == {'-'}


def test_figures_are_printed_as_they_are_given():
    rows = cells(markdown_table([{'s': '0.250', 'n': 1.5}, {'s': '1e-7', 'n': True}]))
    assert rows[2:] == [['0.250', '1.5'], ['1e-7', 'True']]


def test_keys_of_the_first_row_order_the_columns():
    table = cells(markdown_table([dict(b=1, a=2), dict(a=4, b=3)]))
    assert table[0] == ['b', 'a'] and table[3] == ['3', '4']


def test_mean_and_deviation():
    assert mean_and_deviation([2.]) == '2.000'
    assert mean_and_deviation([2., 2.]) == '2.000'
    assert mean_and_deviation([1., 2., 6.], '.2f') == f'3.00 +- {math.sqrt(7):.2f}'
    assert mean_and_deviation([1., math.nan]) == '-'
    assert mean_and_deviation([1., 2., 3.], '+.1f') == '+2.0 +- 1.0'


@pytest.fixture
def write(tmp_path):
    def make(name, rows):
        path = tmp_path / name
        with path.open('w', newline='') as stream:
            keys = [f'registration/{key}' for key in FIGURES]
            writer = csv.writer(stream)
            writer.writerow(['row', 'seed', 'test_set', *keys])
            for row, test_set, factor in rows:
                writer.writerow([row, 0, test_set, *(
                    '' if factor is None else factor * value for value in FIGURES.values())])
        return path

    return make


def test_lines_are_methods_and_columns_are_data_sets(write, capsys, load_tool):
    one = write('one.csv', [('crossi2p', 'test', 1), ('crossi2p', 'noise', 2)])
    two = write('two.csv', [('crossi2p', 'test', 3), ('nclr', 'test', None)])
    load_tool('registration_table').main([f'KITTI={one}', f'nuScenes={two}'])
    lines = [[cell.strip() for cell in line.strip('|').split('|')]
             for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:5] == ['', 'KITTI RRE, deg', 'KITTI RTE, m', 'KITTI IR, %', 'KITTI RR, %']
    assert lines[2] == ['crossi2p', '0.87 +- 0.33', '0.18 +- 0.11', '88.74', '100.00',
                        '2.61 +- 0.99', '0.54 +- 0.33', '266.22', '300.00']
    assert lines[3] == ['crossi2p, noise', '1.74 +- 0.66', '0.36 +- 0.22', '177.48', '200.00',
                        '-', '-', '-', '-']
    assert lines[4] == ['nclr'] + ['-'] * 8
    assert 'A view without a pose is left out of mean and deviation' in lines[-1][0]


def test_wrong_input_is_told(write, tmp_path, load_tool, capsys):
    path = write('one.csv', [('crossi2p', 'test', None)])
    main = load_tool('registration_table').main
    for words, message in (([f'a={path}'], 'expected metrics of the protocol corri2p_10_5'),
                           ([f'a={tmp_path / "no.csv"}'], 'No such file')):
        with pytest.raises(SystemExit, match=message):
            main(words)
    with pytest.raises(SystemExit):
        main(['x'])
    assert 'expected NAME=RESULTS.CSV, found x' in capsys.readouterr().err
