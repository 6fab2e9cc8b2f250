"""Figures of the protocols by hand, and transforms that only turn."""
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nclr_plugin.evaluation import PROTOCOLS
from nclr_plugin.evaluation.protocols import (RRE_KINDS, get_protocol, is_translation_free,
                                              protocol_figures)

RRE = np.array([1., 8., 20., 4.])
RTE = np.array([0.5, 1., 1., 3.])
SOLVED = np.array([True, True, True, False])


def test_every_protocol_says_what_becomes_of_a_failure():
    for protocol in PROTOCOLS.values():
        assert protocol.failures and protocol.origin and protocol.thresholds
    assert 'LEGACY' in PROTOCOLS['zero_translation'].origin
    with pytest.raises(ValueError, match='"corri2p" is unknown: expected one of'):
        get_protocol('corri2p')


@pytest.mark.parametrize('name, averaged, recalls', [
    ('all_frames', [0, 1, 2, 3], dict(recall_10deg_5m=0.5, recall_5deg_2m=0.25,
                                      recall_2deg_1m=0.25)),
    ('corri2p_10_5', [0, 1], dict(recall_10deg_5m=0.5)),
    ('cofii2p', [0, 1, 2], dict(recall_45deg_10m=0.75, recall_10deg_5m=0.5)),
])
def test_figures_are_those_of_the_views_that_count(name, averaged, recalls):
    errors = dict.fromkeys(RRE_KINDS, RRE)
    assert protocol_figures(get_protocol(name), errors, RTE, SOLVED) == pytest.approx(dict(
        num_averaged=len(averaged), rre_deg_mean=RRE[averaged].mean(),
        rre_deg_std=RRE[averaged].std(), rte_m_mean=RTE[averaged].mean(),
        rte_m_std=RTE[averaged].std(), **recalls))


def test_each_protocol_reads_its_own_rotation_error():
    errors = dict(zip(RRE_KINDS, (RRE, RRE + 1, RRE + 2)))
    for protocol in PROTOCOLS.values():
        figures = protocol_figures(protocol, errors, RTE, SOLVED | True)
        if protocol.mean_over != 'recalled':
            assert figures['rre_deg_mean'] == errors[protocol.rotation].mean()


def test_no_view_left_has_no_mean():
    figures = protocol_figures(get_protocol('cofii2p'), dict.fromkeys(RRE_KINDS, RRE), RTE,
                               SOLVED & False)
    assert np.isnan(figures['rre_deg_mean']) and figures['num_averaged'] == 0


def test_a_turn_about_the_camera_is_free_of_translation():
    turn, lidar2cam = np.eye(4), np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec([0, 0.5, 0]).as_matrix()
    lidar2cam[:3, 3] = 0.3, -0.2, 0.1
    about_camera = np.linalg.inv(lidar2cam) @ turn @ lidar2cam
    assert is_translation_free(turn)
    assert not is_translation_free(about_camera)
    after = lidar2cam @ np.linalg.inv(about_camera)
    assert is_translation_free(about_camera, after[None])
    turn[1, 3] = 0.1
    assert not is_translation_free(turn)
