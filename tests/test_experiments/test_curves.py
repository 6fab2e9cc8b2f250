"""Loss curves from logs as mmengine writes them."""
import json

import numpy as np
import pytest

from nclr_plugin.evaluation.calibration_metric import write_views
from nclr_plugin.experiments import curves
from nclr_plugin.experiments.curves import describe, read_curves, read_errors, recall_curves
from nclr_plugin.visualization import curves as module, plot_error_histograms


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
    new_figure = curves.new_figure
    monkeypatch.setattr(curves, 'new_figure',
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
    new_figure = curves.new_figure
    monkeypatch.setattr(curves, 'new_figure',
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


def record(frame, rre, rte, valid=True, mismatched_image=False):
    errors = dict(rre_geodesic_deg=[rre], rre_euler_deg=[1.5 * rre], rte_m=[rte])
    return dict(frame_id=frame, view=['cam'], valid=[valid], mismatched_image=mismatched_image,
                predicted=errors, identity=errors)


@pytest.fixture
def views(tmp_path):
    """As an evaluation writes it: four views, one without a pose, and one of a mismatched image."""
    write_views(tmp_path / 'views.csv', [
        record('a', 1., 0.5), record('b', 4., 1.), record('c', 0., 0., valid=False),
        record('d', 12., 9.), record('a', 0.1, 0.1, mismatched_image=True)])
    return tmp_path / 'views.csv'


def test_views_without_a_pose_miss_and_mismatched_images_do_not_count(views):
    errors = read_errors(views)
    assert errors.rre.tolist() == [1., 4., np.inf, 12.] and errors.rte.tolist() == [
        .5, 1., np.inf, 9.]
    assert read_errors(views, 'euler').rre.tolist() == [1.5, 6., np.inf, 18.]
    curves = recall_curves(errors, degrees=10., metres=4., steps=5)
    assert curves['rre_thresholds'].tolist() == [0, 2.5, 5, 7.5, 10]
    # Counted by hand: no error is below 0; 1 of 4 views below 2.5 deg, 2 from 5 deg on.
    assert curves['rre'].tolist() == [0, .25, .5, .5, .5]
    assert curves['rte'].tolist() == [0, .25, .5, .5, .5]
    assert describe('it', errors) == (
        'it: 4 views, 1 without a pose; medians of the others 4.00 deg, 1.00 m')


def test_bars_are_shares_of_all_views_and_the_last_has_the_rest(views, monkeypatch):
    seen = {}
    monkeypatch.setattr(module, 'render', lambda figure: seen.update(figure=figure))
    errors = read_errors(views)
    plot_error_histograms(dict(first=errors, second=errors), degrees=10., metres=5., bins=5)
    for axis, expected in zip(seen['figure'].axes, ([25, 0, 25, 0, 0, 50], [25, 25, 0, 0, 0, 50])):
        first, second = axis.containers
        assert (first.get_label(), second.get_label()) == ('first', 'second')
        assert [bar.get_height() for bar in first] == expected
        assert np.histogram(errors.rre[:2], 5, (0, 10))[0].tolist() == [1, 0, 1, 0, 0]
        # Side by side: no bar of a method reaches into one of the other.
        ends = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in [*first, *second])
        assert all(left[1] <= right[0] + 1e-9 for left, right in zip(ends, ends[1:]))


def test_the_command_draws_several_methods(views, tmp_path, load_tool, capsys):
    cv2 = pytest.importorskip('cv2')
    recall, histogram = tmp_path / 'pictures' / 'recall.png', tmp_path / 'histogram.png'
    load_tool('plot_errors').main([f'NCLR={views}', f'other={views}', '--recall', str(recall),
                                   '--histogram', str(histogram)])
    assert [cv2.imread(str(path)).shape for path in (recall, histogram)] == [(600, 1440, 3)] * 2
    out = capsys.readouterr().out
    assert 'NCLR: 4 views' in out and 'other: 4 views' in out and f'written: {recall}' in out


@pytest.mark.parametrize('text, expected', [
    ('frame_id,rte_m\na,1\n', "found no ['mismatched_image', 'valid', 'rre_geodesic_deg']"),
    ('mismatched_image,valid,rre_geodesic_deg,rte_m\n0,1,1.,x\n', 'line 2'),
    ('mismatched_image,valid,rre_geodesic_deg,rte_m\n0,1,1.\n', 'line 2'),
    ('mismatched_image,valid,rre_geodesic_deg,rte_m\n', 'found none'),
    ('mismatched_image,valid,rre_geodesic_deg,rte_m\n1,1,1.,1.\n', 'found none'),
    ('', 'found no')], ids=['columns', 'a word', 'a short line', 'no view', 'the control', 'empty'])
def test_a_file_of_something_else_is_named(tmp_path, load_tool, text, expected):
    path = tmp_path / 'other.csv'
    path.write_text(text)
    with pytest.raises(SystemExit) as error:
        load_tool('plot_errors').main([f'it={path}', '--recall', str(tmp_path / 'x.png')])
    assert str(path) in error.value.code and expected in error.value.code
    assert not (tmp_path / 'x.png').exists()


@pytest.mark.parametrize('words', [['views.csv', '--recall', 'x.png'], ['a=b.csv'],
                                   ['a=VIEWS', 'a=VIEWS', '--recall', 'x.png']])
def test_words_that_say_nothing_to_draw(views, load_tool, words):
    with pytest.raises(SystemExit) as error:
        load_tool('plot_errors').main([word.replace('VIEWS', str(views)) for word in words])
    assert error.value.code == 2
