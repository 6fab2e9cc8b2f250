"""Two rows of the paper's Table 6 through tools/ablation.py, and the same command again."""
import csv
import time

import pytest

ROWS = ('table6_3_overlap', 'table6_4_full')


def test_two_rows(run, demo_config, demo, tmp_path, capsys):
    pytest.importorskip('matplotlib')
    out = tmp_path / 'out'
    folder = demo_config.parent / 'ablation'
    words = [*(folder / f'{row}.py' for row in ROWS), '--seeds', 3, '--out', out, '--jobs', 2]
    options = {**demo, 'train_cfg.max_iters': 2, 'train_cfg.val_begin': 100,
               'experiment_name': 'ablation'}
    run('ablation', *words, options=options)
    printed = capsys.readouterr().out
    assert '[2/2]' in printed and 'mismatched image' in printed

    for row in ROWS:
        assert (out / row / 'seed_3' / 'iter_2.pth').is_file()
    with (out / 'results.csv').open() as stream:
        lines = list(csv.DictReader(stream))
    assert [(line['row'], line['test_set'], line['match']) for line in lines] == [
        (row, 'test', 'learned_soft') for row in ROWS]
    for line in lines:
        assert line['samples'] == '4' and line['seed'] == '3'
        for prefix in ('', 'mismatched_image_'):
            assert float(line[f'calibration/{prefix}num_views']) == 2
            assert 0 <= float(line[f'calibration/{prefix}recall_10deg_5m']) <= 1
    text = (out / 'results.md').read_text()
    assert '+ end-to-end pose estimation (NCLR)' in text and '--seeds 3' in text
    assert (out / 'results.png').stat().st_size > 5000

    start = time.monotonic()
    run('ablation', *words, options=options)
    assert capsys.readouterr().out == '2 runs, 2 of them already finished\n'
    assert time.monotonic() - start < 20
