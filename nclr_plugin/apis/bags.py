"""Read pairs of images and scans from recordings of ROS: .bag, .mcap and .db3."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, NamedTuple

import numpy as np

from ..datasets.scans import evenly_spaced
from ..errors import CalibrationInputError
from ..utils.optional import optional_import
from .formats import Frames
from .intrinsics import Intrinsics
from .ros_messages import (COMPRESSED_IMAGE, image_from_message, intrinsics_from_message,
                           points_from_message, time_stamp)

SUFFIXES = ('.bag', '.mcap', '.db3')
METADATA = 'metadata.yaml'  # of the folder that ROS 2 records to
IMAGE_TYPES = ('sensor_msgs/msg/Image', COMPRESSED_IMAGE)
POINTS_TYPES = ('sensor_msgs/msg/PointCloud2', )
INFO_TYPE = 'sensor_msgs/msg/CameraInfo'
DEPTH = 'compressedDepth'  # last part of the names of topics with depth images
TOLERANCE = 0.05  # seconds: half a turn of a LiDAR at 10 Hz
MAX_PAIRS = 40  # more pairs add little but cost time and memory


class RecordedPairs(NamedTuple):
    """Pairs of images and scans of a recording; see :class:`~nclr_plugin.apis.inputs.FilePairs`.

    Attributes:
        messages: Image and scan of each pair as messages, by the time stamp of the image, seconds.
        intrinsics: Intrinsics of the camera; ``None`` if there are none in the recording.
        frames: Names of the coordinate frames.
        unusable: Always empty: images and scans without a partner are only counted.
    """
    messages: dict[str, tuple[Any, Any]]
    intrinsics: Intrinsics | None
    frames: Frames
    unusable: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """Names of the pairs."""
        return list(self.messages)

    def load(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Convert a pair; see :meth:`~nclr_plugin.apis.inputs.FilePairs.load`."""
        image, points = self.messages[name]
        return (image_from_message(image, f'image {name}'),
                points_from_message(points, f'scan {name}'))


def is_recording(path: str) -> bool:
    """Return whether a path is a recording by its name: a file, or a folder of ROS 2."""
    return Path(path).suffix in SUFFIXES or (Path(path) / METADATA).is_file()


def read_recording(path: str, image_topic: str | None = None, points_topic: str | None = None,
                   tolerance: float = TOLERANCE, max_pairs: int = MAX_PAIRS) -> RecordedPairs:
    """Read pairs of an image and a scan whose time stamps differ by at most a tolerance.

    An image and a scan are a pair if each is the nearest to the other by the time stamps in the
    headers. Print how many are left out.

    Args:
        path: ``.bag`` of ROS 1; ``.mcap`` or ``.db3`` of ROS 2, or their folder.
        image_topic: Topic of type ``Image`` or ``CompressedImage``; ``None`` if there is only one.
        points_topic: Topic of type ``PointCloud2``; ``None`` if there is only one.
        tolerance: Largest difference of the time stamps, seconds.
        max_pairs: Number of pairs, evenly spaced in time, if there are more.

    Raises:
        CalibrationInputError: If the recording cannot be read, a topic is absent or has to be
            chosen, or no image has a scan within the tolerance.
        ImportError: If rosbags is not installed.
    """
    if tolerance < 0 or max_pairs < 1:
        raise CalibrationInputError(
            'expected a tolerance of 0 or more seconds and one or more pairs, found '
            f'{tolerance} and {max_pairs}.')
    with _Reader(path) as reader:
        image_topic = reader.choose(IMAGE_TYPES, image_topic, 'image', '--image-topic')
        points_topic = reader.choose(POINTS_TYPES, points_topic, 'scan', '--points-topic')
        print(f'{path}: reading the time stamps of {image_topic} and {points_topic}')
        images, scans = (reader.read_stamps(topic) for topic in (image_topic, points_topic))
        pairs = pair_stamps(images.stamps, scans.stamps, round(tolerance * 1e9))
        if not len(pairs):
            raise CalibrationInputError(
                f"recording '{path}': expected images and scans whose time stamps differ by at "
                f'most {tolerance} s, found {images} of {image_topic} and {scans} of '
                f'{points_topic}; raise --tolerance if the sensors share a clock.')
        used = evenly_spaced(pairs, max_pairs)
        difference = np.abs(images.stamps[pairs[:, 0]] - scans.stamps[pairs[:, 1]]) / 1e9
        print(f'{len(pairs)} pairs within {tolerance:g} s (median {np.median(difference):.3f} s); '
              f'left out: {len(images.stamps) - len(pairs)} images without a scan, '
              f'{len(scans.stamps) - len(pairs)} scans without an image'
              + (f', {len(pairs) - len(used)} pairs more than --max-pairs'
                 if len(used) < len(pairs) else ''))
        messages = {
            '{}.{:09d}'.format(*divmod(images.stamps[image], 10**9)):
            (reader.read(image_topic, images.stamps[image], images.times[image]),
             reader.read(points_topic, scans.stamps[scan], scans.times[scan]))
            for image, scan in used}
        image, points = next(iter(messages.values()))
        return RecordedPairs(
            messages, reader.read_intrinsics(image_topic, image.header.frame_id),
            Frames(*(message.header.frame_id.lstrip('/') or default
                     for message, default in zip((points, image), Frames()))))


def pair_stamps(first: np.ndarray, second: np.ndarray, tolerance: int) -> np.ndarray:
    """Pair time stamps that are nearest to each other.

    Args:
        first: (N,) int64, nanoseconds, in any order.
        second: (M,) likewise.
        tolerance: Largest difference, nanoseconds.

    Returns:
        (K, 2) indices into ``first`` and ``second``, by time; each index is in one pair at most.
    """
    forth, back = _nearest(first, second), _nearest(second, first)
    mutual = back[forth] == np.arange(len(first))
    index = np.flatnonzero(mutual & (np.abs(second[forth] - first) <= tolerance))
    index = index[np.argsort(first[index], kind='stable')]
    return np.stack((index, forth[index]), axis=1)


def _nearest(stamps: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the index (N,) of the nearest of the stamps ``among`` for each stamp."""
    order = np.argsort(among, kind='stable')
    ordered = among[order]
    right = np.searchsorted(ordered, stamps).clip(1, max(1, len(among) - 1))
    left = right - 1
    right = right.clip(max=len(among) - 1)
    return order[np.where(stamps - ordered[left] <= ordered[right] - stamps, left, right)]


class _Stamps(NamedTuple):
    """Time stamps of the messages of a topic and the times of their recording, nanoseconds."""
    stamps: np.ndarray
    times: np.ndarray

    def __str__(self) -> str:
        low, high = self.stamps.min() / 1e9, self.stamps.max() / 1e9
        return f'{len(self.stamps)} from {low:.3f} to {high:.3f} s'


class _Reader:
    """An open recording.

    Args:
        path: See :func:`read_recording`.
    """

    def __init__(self, path: str) -> None:
        highlevel, rosbag2, typesys = (
            optional_import(f'rosbags.{name}', 'rosbags', 'Reading recordings of ROS')
            for name in ('highlevel', 'rosbag2', 'typesys'))
        self.path = path
        # A file of ROS 2 may be a part of a recording, which its folder describes.
        file = Path(path)
        if file.suffix != '.bag' and (file.parent / METADATA).is_file():
            file = file.parent
        # Old recordings of ROS 2 hold no definitions of their messages.
        types = typesys.get_typestore(typesys.Stores.LATEST)
        try:
            self.reader = highlevel.AnyReader([file], default_typestore=types)
            self.reader.open()
        except Exception as error:  # rosbags does not wrap the errors of its parsers
            old = file.suffix != '.bag' and not hasattr(rosbag2, 'StoragePlugin')
            raise CalibrationInputError(
                f"recording '{path}': expected a .bag of ROS 1, or a .mcap or .db3 of ROS 2"
                f'{f" beside its {METADATA} (rosbags is old)" if old else ""}, found an error: '
                f'{type(error).__name__}: {error}') from error

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: Any) -> None:
        self.reader.close()

    def choose(self, types: tuple[str, ...], wanted: str | None, kind: str, option: str) -> str:
        """Return the requested topic, or the only one of its kind.

        Raises:
            CalibrationInputError: If there is no such topic, or several and none is requested.
        """
        topics = [topic for topic in self._topics(types) if not topic.endswith(DEPTH)]
        if wanted in topics:
            return wanted
        if wanted is None and len(topics) == 1:
            return topics[0]
        expected = f'the topic {wanted}' if wanted else f'one topic with {kind}s'
        every = [f'{connection.topic} ({connection.msgtype.split("/")[-1]})'
                 for connection in self.reader.connections]
        raise CalibrationInputError(
            f"recording '{self.path}': expected {expected} of type "
            f'{" or ".join(name.split("/")[-1] for name in types)}, found '
            + (f'{", ".join(topics)}; choose by {option}.' if topics else
               f'only {", ".join(sorted(set(every))) or "no message"}.'))

    def read_stamps(self, topic: str) -> _Stamps:
        """Read the time stamps of a topic.

        Raises:
            CalibrationInputError: If the headers have none.
        """
        pairs = [(time_stamp(message), time) for message, time in self._messages(topic)]
        stamps = _Stamps(*np.array(pairs, np.int64).T)
        if not stamps.stamps.any():
            raise CalibrationInputError(
                f"recording '{self.path}': expected time stamps in the headers of {topic}, found "
                'zeros; images and scans cannot be paired.')
        return stamps

    def read(self, topic: str, stamp: int, time: int) -> Any:
        """Read the message of a topic with a time stamp that was recorded at a time."""
        # Start a moment earlier: otherwise rosbags for Python 3.8 misses the last message of a
        # chunk.
        return next(message for message, _ in self._messages(topic, int(time) - 1, int(time) + 1)
                    if time_stamp(message) == stamp)

    def read_intrinsics(self, image_topic: str, frame: str) -> Intrinsics | None:
        """Read the intrinsics from ``camera_info`` beside the topic of the images.

        Without such a topic, use the one of the same coordinate frame.

        Raises:
            CalibrationInputError: If the intrinsics cannot be used, or change during the recording.
        """
        transport = self._topics((COMPRESSED_IMAGE, ))
        base = image_topic.rpartition('/')[0] if image_topic in transport else image_topic
        beside = f'{base.rpartition("/")[0]}/camera_info'
        topics = self._topics((INFO_TYPE, ))
        if beside not in topics:
            topics = [topic for topic in topics
                      if next(self._messages(topic))[0].header.frame_id == frame]
            if len(topics) != 1:
                return None
            beside, = topics
        rectified = 'rect' in base.rpartition('/')[2]
        found = [intrinsics_from_message(message, beside, rectified)
                 for message, _ in self._messages(beside)]
        if any((each.cam2img != found[0].cam2img).any() for each in found):
            raise CalibrationInputError(f'{beside}: expected the same intrinsics in all messages, '
                                        'found others; give them as a file (--intrinsics).')
        print(f'intrinsics: {beside}')
        return found[0]

    def _topics(self, types: tuple[str, ...]) -> list[str]:
        """Return the topics of some types that have messages, sorted."""
        return sorted({connection.topic for connection in self.reader.connections
                       if connection.msgtype in types and connection.msgcount})

    def _messages(self, topic: str, start: int | None = None,
                  stop: int | None = None) -> Iterator[tuple[Any, int]]:
        """Yield the messages of a topic and the times of their recording, nanoseconds."""
        connections = [each for each in self.reader.connections if each.topic == topic]
        try:
            for connection, time, data in self.reader.messages(connections, start, stop):
                yield self.reader.deserialize(data, connection.msgtype), time
        except Exception as error:  # rosbags does not wrap the errors of its parsers
            raise CalibrationInputError(
                f"recording '{self.path}': expected readable messages of {topic}, found an error: "
                f'{type(error).__name__}: {error}') from error
