import numpy as np
import pytest

from nclr_plugin.evaluation import rejection
from nclr_plugin.visualization import plot_recall, plot_roc
from nclr_plugin.visualization import curves as module


def curve(recall):
    thresholds = np.linspace(0, 10, 5)
    return dict(rre=np.full(5, recall), rte=np.full(5, recall), rre_thresholds=thresholds,
                rte_thresholds=thresholds)


def test_picture_shows_one_line_for_each_answer_in_two_panels(monkeypatch):
    seen = {}
    monkeypatch.setattr(module, 'render', lambda figure: seen.update(figure=figure))
    plot_recall({'predicted': curve(.9), 'identity': curve(.2), 'mismatched image': curve(.1),
                 'another': curve(.5)})
    axes = seen['figure'].axes
    assert [axis.get_xlabel() for axis in axes] == ['RRE threshold [deg]', 'RTE threshold [m]']
    for axis in axes:
        assert [line.get_label() for line in axis.lines] == ['predicted', 'identity',
                                                             'mismatched image', 'another']
        assert axis.lines[1].get_ydata() == pytest.approx([20] * 5)
        assert axis.lines[1].get_xdata() == pytest.approx([0, 2.5, 5, 7.5, 10])
        assert axis.get_xlim() == (0, 10)


def test_picture_is_an_array_and_the_same_each_time():
    first, second = (plot_recall(dict(predicted=curve(.9))) for _ in range(2))
    assert first.shape == (600, 1440, 3) and first.dtype == np.uint8
    assert np.array_equal(first, second) and not (first == 255).all()


def test_roc_of_each_score(monkeypatch):
    seen = {}
    monkeypatch.setattr(module, 'render', lambda figure: seen.update(figure=figure))
    true = np.array([True] * 10 + [False] * 4)
    scores = np.r_[np.arange(10.), -1, 0.5, 0.6, 3.5]
    plot_roc(dict(agreement=rejection(scores, true), inlier_ratio=rejection(-scores, true)))
    axis, = seen['figure'].axes
    curve, point = axis.lines[:2]
    assert curve.get_label() == 'agreement: 75% of mismatched pairs rejected'
    assert curve.get_xdata()[0] == curve.get_ydata()[0] == 0
    assert curve.get_xdata()[-1] == curve.get_ydata()[-1] == 100
    assert point.get_xdata() == pytest.approx([25]) and point.get_ydata() == pytest.approx([90])
    monkeypatch.undo()
    assert plot_roc(dict(agreement=rejection(scores, true))).shape == (600, 720, 3)
