"""The error by which a broken frame makes itself known."""
from __future__ import annotations


class BrokenFrameError(ValueError):
    """A frame that cannot be used: an unreadable file, bad values, nothing in view.

    Raised while a sample is loaded. :class:`CalibrationDataset` lets it through, or steps over the
    frame when ``skip_broken=True``.

    Args:
        frame_id: The frame, e.g. ``'00/000012'``.
        reason: File, what was expected, what was found, what to do.

    Attributes:
        frame_id (str): As given.
        reason (str): As given.
    """

    # A DataLoader rebuilds a worker's exception from its message alone, hence the default.
    def __init__(self, frame_id: str, reason: str = '') -> None:
        super().__init__(f'frame {frame_id}: {reason}' if reason else frame_id)
        self.frame_id = frame_id
        self.reason = reason


class DataLayoutError(ValueError):
    """A data set that cannot be indexed: a calibration, list or info file is not as expected.

    Raised before training starts; the message names the file, the expectation and the finding.
    """
