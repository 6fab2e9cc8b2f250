from nclr_plugin.experiments.scheduling import clock, progress


def test_estimate_of_the_rest():
    assert progress(1, 4, 100., 'a seed 0', 'well') == \
        '[1/4] 0:01:40 a seed 0: well; about 0:05:00 to go'
    assert progress(4, 4, 3700., 'a', 'b') == '[4/4] 1:01:40 a: b'
    assert clock(59.9) == '0:00:59'
