"""Options are checked before anything is made."""
import pytest

from nclr_plugin.demo.options import DemoOptions


@pytest.mark.parametrize('wrong, message', [
    (dict(scenes=-1), 'scenes: expected at least 0, found -1'),
    (dict(scenes=0), 'found none to make'),
    (dict(scenes=1, towns=0), 'towns: expected at least 1'),
    (dict(scenes=1, heading='up'), "found 'up'"),
    (dict(scenes=1, image_size=(8, 100)), 'image_size'),
    (dict(scenes=1, azimuths=3), 'azimuths'),
    (dict(scenes=1, focal=-3.0), 'focal'),
    (dict(scenes=1, sensor_height=-1.0), 'sensor_height'),
    (dict(scenes=1, beams=48), 'found 48'),
])
def test_wrong_options(wrong, message):
    with pytest.raises(ValueError, match=message):
        DemoOptions(**wrong)
