"""Loss curves from logs as mmengine writes them."""
import json

import pytest

from nclr_plugin.experiments import loss_curves
from nclr_plugin.experiments.loss_curves import read_curves


@pytest.fixture
def work_dir(tmp_path):
    """Two runs, the second resumed from step 2."""
    for time, steps in (('20260101_000000', (1, 2, 3)), ('20260102_000000', (3, 4))):
        folder = tmp_path / 'work' / time / 'vis_data'
        folder.mkdir(parents=True)
        lines = [dict(loss=10. / step + len(steps), loss_cls=1., step=step, time=2.,
                      ratio_pose=step / 2, ratio_fine=1. - step / 10) for step in steps]
        lines.append(dict(AP=3., step=9))
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    return tmp_path / 'work'


def test_later_runs_count(work_dir):
    (steps, values), = read_curves(str(work_dir)).values()
    assert steps == [1, 2, 3, 4]
    assert values == pytest.approx([13., 8., 10 / 3 + 2, 4.5])


def test_picture_has_a_line_for_each_run(work_dir, tmp_path, monkeypatch, capsys, load_tool):
    seen = []
    new_figure = loss_curves.new_figure
    monkeypatch.setattr(loss_curves, 'new_figure',
                        lambda *size: seen.append(new_figure(*size)) or seen[-1])
    out = tmp_path / 'losses.png'
    load_tool('plot_losses').main([f'pretrained={work_dir}', f'scratch={work_dir}', '--key',
                                   'loss_cls', '--out', str(out)])
    (_, (axis, )), = seen
    assert [line.get_label() for line in axis.lines] == ['pretrained', 'scratch']
    assert axis.lines[1].get_ydata().tolist() == [1., 1., 1., 1.]
    assert axis.get_ylabel() == 'loss_cls' and out.read_bytes()[:4] == b'\x89PNG'
    assert 'scratch: loss_cls 1.000 at step 1, 1.000 at step 4' in capsys.readouterr().out


def test_balanced_tasks_side_by_side(work_dir, tmp_path, monkeypatch, capsys, load_tool):
    seen = []
    new_figure = loss_curves.new_figure
    monkeypatch.setattr(loss_curves, 'new_figure',
                        lambda *size: seen.append(new_figure(*size)) or seen[-1])
    load_tool('plot_losses').main([f'run={work_dir}', '--out', str(tmp_path / 'ratios.png'),
                                   '--key', 'ratio_*', 'loss'])
    (_, (axis, )), = seen
    assert {line.get_label(): line.get_ydata().tolist() for line in axis.lines} == {
        'run: ratio_fine': [0.9, 0.8, 0.7, 0.6], 'run: ratio_pose': [0.5, 1., 1.5, 2.],
        'run: loss': pytest.approx([13., 8., 10 / 3 + 2, 4.5])}
    assert 'run: ratio_pose 0.500 at step 1, 2.000 at step 4' in capsys.readouterr().out


@pytest.mark.parametrize('words, expected', [
    (['a={}/nowhere'], 'nowhere: expected TIME/vis_data/scalars.json'),
    (['a={}', '--key', 'loss_x'], "['loss', 'loss_cls', 'ratio_fine', 'ratio_pose']"),
])
def test_errors_are_one_line(work_dir, tmp_path, load_tool, words, expected):
    with pytest.raises(SystemExit) as error:
        load_tool('plot_losses').main(
            [*(word.format(work_dir) for word in words), '--out', str(tmp_path / 'x.png')])
    assert expected in str(error.value) and '\n' not in str(error.value)
