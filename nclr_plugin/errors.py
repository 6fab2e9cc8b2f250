"""Errors caused by the input: invalid images, scans, data sets and checkpoints.

Each message says what was expected, what was found and what to do. Command lines print it in one
line, without a traceback.
"""
from __future__ import annotations

import contextlib
import sys
from typing import Iterator


class UserError(ValueError):
    """Base class of errors that are caused by the input, not by a fault of the code."""


# Errors that end a command line with one sentence. FloatingPointError: training diverged.
INPUT_ERRORS = (UserError, OSError, ImportError, FloatingPointError)


class ConfigError(UserError):
    """A config does not fit an option of the command line, or the option is out of range."""


class CalibrationInputError(UserError):
    """An image, a scan or intrinsics cannot be calibrated."""


class BrokenFrameError(UserError):
    """A frame cannot be used: an unreadable file, bad values, nothing in view.

    It is raised while a sample is loaded. ``CalibrationDataset`` passes it on, or replaces the
    frame when ``skip_broken=True``.

    Args:
        frame_id: Name of the frame, e.g. ``'00/000012'``.
        reason: File, what was expected, what was found, what to do.

    Attributes:
        frame_id (str): Name of the frame.
        reason (str): The reason without the frame's name.
    """

    # A DataLoader rebuilds a worker's exception from its message alone, hence the default.
    def __init__(self, frame_id: str, reason: str = '') -> None:
        super().__init__(f'frame {frame_id}: {reason}' if reason else frame_id)
        self.frame_id = frame_id
        self.reason = reason


class ScanError(UserError):
    """A scan cannot be used: an unreadable file, too few valid points.

    Data sets turn it into a :class:`BrokenFrameError`, calibrations into a
    :class:`CalibrationInputError`, with its message.
    """


class ScanColumnsError(ScanError):
    """A scan does not have the stated columns, and most likely no scan has.

    The message names the option to change.
    """


class DataLayoutError(UserError):
    """A data set cannot be indexed: a calibration, list or info file is invalid.

    It is raised before training starts.
    """


class PretrainedWeightsError(UserError):
    """A checkpoint does not have the weights of a model."""


class BrokenCheckpointError(UserError):
    """A checkpoint file cannot be read."""


class CheckpointMismatchError(UserError):
    """A checkpoint has too few of the model's tensors."""


def describe_error(error: Exception) -> str:
    """Describe an error of another library in one line; of YAML, the problem and its line."""
    mark = getattr(error, 'problem_mark', None)
    text = f'{error.problem} in line {mark.line + 1}' if mark else str(error)
    return ' '.join(text.split())


@contextlib.contextmanager
def reading(path: str, expectation: str) -> Iterator[None]:
    """Turn errors of a parser into one that names the file.

    Args:
        path: The file that is read.
        expectation: What was expected, a clause.

    Raises:
        DataLayoutError: If the file cannot be parsed.
    """
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:  # pickle alone raises a dozen kinds
        raise DataLayoutError(
            f"file '{path}': expected {expectation}, found that it cannot be read "
            f'({type(error).__name__}: {describe_error(error)}); write it again.') from error


@contextlib.contextmanager
def one_line_errors(*more: type[Exception]) -> Iterator[None]:
    """Exit with one line for errors caused by the input; others keep their traceback.

    Args:
        more: Classes of further errors that are caused by the input.
    """
    try:
        yield
    except (*INPUT_ERRORS, *more) as error:
        sys.exit(error_line(error))


def error_line(error: Exception) -> str:
    """Return the line that a command ends with: kind and message of an error."""
    text = f'{type(error).__name__}: {error}'.strip()
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{type(error).__name__}: '{error.filename}': {error.strerror}"  # without its number
    # An error of a DataLoader's worker carries the worker's traceback as its message.
    return text.splitlines()[-1] if 'DataLoader worker' in text else text
