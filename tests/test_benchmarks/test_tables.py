from nclr_plugin.benchmarks.tables import markdown_table


def test_columns_are_padded_to_their_longest_cell():
    lines = markdown_table([dict(name='a', value=1), dict(name='longer', value=23)]).splitlines()
    assert lines == ['| name   | value |',
                     '| ------ | ----- |',
                     '| a      | 1     |',
                     '| longer | 23    |']


def test_a_long_header_widens_its_column():
    assert markdown_table([{'median s': 1.5}]).splitlines() == [
        '| median s |', '| -------- |', '| 1.5      |']


def test_keys_of_the_first_row_order_the_columns():
    table = markdown_table([dict(b=1, a=2), dict(a=4, b=3)]).splitlines()
    assert table[0] == '| b | a |' and table[3] == '| 3 | 4 |'
