import argparse

import pytest
import torch

from benchmarks import robust


def test_methods_solve_the_same_problems_in_turn(capsys):
    parser = argparse.ArgumentParser()
    robust.add_arguments(parser)
    threads = torch.get_num_threads()
    robust.main(parser.parse_args([
        '--problems', '3', '--matches', '150', '--outliers', '0.2', '0.5', '--methods',
        'ransac_p3p', 'ransac_sqpnp']))
    assert torch.get_num_threads() == threads
    header, line, *rows = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in row.strip('|').split('|')] for row in (header, *rows)]
    for row in (dict(zip(cells[0], row)) for row in cells[1:]):
        assert row['ransac_p3p: found'] == row['ransac_sqpnp: found'] == '3/3'
        angle, shift = map(float, row['ransac_p3p: deg / m'].split(' / '))
        assert 0 < angle < 0.2 and 0 < shift < 0.1
        ratio = float(row['ransac_sqpnp: s']) / float(row['ransac_p3p: s'])
        assert float(row['ransac_sqpnp: time ratio']) == pytest.approx(ratio, rel=0.5)
    assert [row[0] for row in cells] == ['outliers', '20%', '50%']
