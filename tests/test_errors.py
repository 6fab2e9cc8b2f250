"""Errors that users can mend."""
import pytest

from nclr_plugin import errors
from nclr_plugin.errors import UserError, one_line_errors


@pytest.mark.parametrize('name', [
    'BrokenCheckpointError', 'BrokenFrameError', 'CalibrationInputError',
    'CheckpointMismatchError', 'DataLayoutError', 'PretrainedWeightsError'])
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


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), one_line_errors():
        raise ZeroDivisionError
