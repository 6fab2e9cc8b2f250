import pickle

from nclr_plugin.datasets import BrokenFrameError


def test_names_frame_and_reason():
    error = BrokenFrameError('00/000012', "scan 'a.bin': expected points, found none.")
    assert str(error) == "frame 00/000012: scan 'a.bin': expected points, found none."
    assert (error.frame_id, error.reason[:4]) == ('00/000012', 'scan')


def test_survives_pickling():
    error = pickle.loads(pickle.dumps(BrokenFrameError('7', 'cut off')))
    assert (error.frame_id, error.reason, str(error)) == ('7', 'cut off', 'frame 7: cut off')


def test_can_be_rebuilt_from_its_message_alone():
    # What torch's DataLoader does with the exception of a worker.
    assert str(BrokenFrameError('frame 7: cut off')) == 'frame 7: cut off'
