import math

from nclr_plugin.experiments.tables import markdown_table, mean_and_deviation


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
