"""Errors that are caused by the input."""
import pickle

import pytest
import yaml

from nclr_plugin import errors
from nclr_plugin.errors import (BrokenFrameError, DataLayoutError, UserError, describe_error,
                                one_line_errors)


@pytest.mark.parametrize('name', [
    'BrokenCheckpointError', 'BrokenFrameError', 'CalibrationInputError',
    'CheckpointMismatchError', 'ConfigError', 'DataLayoutError', 'PretrainedWeightsError'])
def test_a_user_error_of_any_kind_ends_in_one_line(name):
    kind = getattr(errors, name)
    assert issubclass(kind, UserError)
    with pytest.raises(SystemExit) as exit_info, one_line_errors():
        raise kind('a.bin: cut off')
    assert exit_info.value.code == f'{name}: a.bin: cut off'


def test_an_error_of_a_worker_keeps_its_last_line():
    with pytest.raises(SystemExit) as exit_info, one_line_errors():
        raise FileNotFoundError('Caught FileNotFoundError in DataLoader worker process 0.\n'
                                'Original Traceback (most recent call last):\n  File ...\n'
                                'FileNotFoundError: a.bin: no such scan\n')
    assert exit_info.value.code == 'FileNotFoundError: a.bin: no such scan'


def test_an_error_of_another_library_is_described_in_one_line():
    with pytest.raises(yaml.YAMLError) as info:
        yaml.safe_load('a: 1\nb: c: d')
    assert describe_error(info.value) == 'mapping values are not allowed here in line 2'
    assert describe_error(ValueError('one\n  two')) == 'one two'


def test_an_absent_file_is_named_without_a_number(tmp_path):
    path = tmp_path / 'a.csv'
    with pytest.raises(SystemExit) as exit_info, one_line_errors():
        path.open()
    assert exit_info.value.code == f"FileNotFoundError: '{path}': No such file or directory"


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), one_line_errors():
        raise ZeroDivisionError


def test_a_broken_frame_names_frame_and_reason():
    error = BrokenFrameError('00/000012', "scan 'a.bin': expected points, found none.")
    assert str(error) == "frame 00/000012: scan 'a.bin': expected points, found none."
    assert (error.frame_id, error.reason[:4]) == ('00/000012', 'scan')


def test_a_broken_frame_survives_pickling():
    error = pickle.loads(pickle.dumps(BrokenFrameError('7', 'cut off')))
    assert (error.frame_id, error.reason, str(error)) == ('7', 'cut off', 'frame 7: cut off')


def test_a_broken_frame_can_be_rebuilt_from_its_message():
    # What torch's DataLoader does with the exception of a worker.
    assert str(BrokenFrameError('frame 7: cut off')) == 'frame 7: cut off'


@pytest.mark.parametrize('content', [b'', pickle.dumps([1, 2])[:-3], b'\xff\xfe no pickle'])
def test_a_file_that_no_parser_reads_is_named(tmp_path, content):
    path = tmp_path / 'infos.pkl'
    path.write_bytes(content)
    with pytest.raises(DataLayoutError, match="infos.pkl': expected infos, found that it cannot"):
        with path.open('rb') as file, errors.reading(str(path), 'infos'):
            pickle.load(file)
    with pytest.raises(BrokenFrameError), errors.reading(str(path), 'infos'):
        raise BrokenFrameError('7', 'cut off')  # says what is wrong by itself
