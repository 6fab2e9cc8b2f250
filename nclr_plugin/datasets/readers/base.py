"""Base class of readers, several readers as one, and the pairing of files by name."""
from __future__ import annotations

import logging
import os
import re
from abc import ABCMeta, abstractmethod
from collections import Counter
from typing import Callable, Dict, Mapping, NamedTuple, Sequence

from mmengine.logging import print_log
from mmengine.registry import TASK_UTILS

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')
# Files that file managers create; hidden ones (.DS_Store, ._000012.png) begin with a dot.
NO_DATA = re.compile(r'\.|thumbs\.db$|(.*[^a-z])?thumb(nail)?s?([^a-z]|$)', re.IGNORECASE)


class Reader(metaclass=ABCMeta):
    """List the frames of one on-disk layout, with checked calibration."""

    @abstractmethod
    def read(self, data_root: str, keep_unpaired: bool = False) -> list[dict]:
        """List the frames.

        Args:
            data_root: Root folder of the data.
            keep_unpaired: Warn about frames that miss a file or have an invalid calibration, and
                list them, instead of raising.

        Returns:
            One dict per frame, see :class:`~nclr_plugin.datasets.CalibrationDataset`.

        Raises:
            FileNotFoundError: If a folder, a list or info file, or a file of a frame is absent.
            ValueError: If a list or info file, or a calibration is invalid.
        """


@TASK_UTILS.register_module()
class ConcatReader(Reader):
    """Concatenate the frames of several readers.

    Unlike mmengine's ``ConcatDataset`` this keeps one list of frames, which the sampler and the
    mismatched-image control need. An id that several parts have is preceded by the name of the
    part's root folder, or by its number where these repeat, too.

    Args:
        parts: Dicts of ``data_root`` and ``reader``, a config. Relative roots are below the
            ``data_root`` of the data set.
    """

    def __init__(self, parts: Sequence[dict]) -> None:
        self.parts = [(part['data_root'], TASK_UTILS.build(part['reader'])) for part in parts]

    def read(self, data_root: str, keep_unpaired: bool = False) -> list[dict]:
        """List the frames of all parts; see :class:`Reader`."""
        parts = [reader.read(os.path.join(data_root, root), keep_unpaired)
                 for root, reader in self.parts]
        # Reports and pictures are named by the ids of frames.
        counts = Counter(frame['frame_id'] for frames in parts for frame in frames)
        folders = [os.path.basename(os.path.normpath(root)) for root, _ in self.parts]
        names = [folder if folders.count(folder) == 1 else f'part{number}'
                 for number, folder in enumerate(folders)]
        return [dict(frame, frame_id=f"{name}/{frame['frame_id']}")
                if counts[frame['frame_id']] > 1 else frame
                for name, frames in zip(names, parts) for frame in frames]


class Folder(NamedTuple):
    """A folder whose files are named by frame.

    Attributes:
        path: Path of the folder.
        suffixes: Suffixes of the files, the preferred one first.
    """
    path: str
    suffixes: tuple[str, ...]


FileNames = Dict[str, Dict[str, str]]  # names by stem, by folder


def shorten(items: Sequence[str], limit: int = 5) -> str:
    """Return the number of items and the first few of them, for a message."""
    shown = ', '.join(items[:limit]) + (', ...' if len(items) > limit else '')
    return f'{len(items)} ({shown})'


def report_missing(finding: str, cure: str, keep: bool) -> None:
    """Raise because files are missing, or only warn if their frames are kept.

    Args:
        finding: What was expected and found, a clause.
        cure: What to do, a clause.
        keep: Warn only.

    Raises:
        FileNotFoundError: Unless ``keep``.
    """
    if not keep:
        raise FileNotFoundError(f'{finding}; {cure}.')
    print_log(
        f'{finding}. These frames will be skipped as broken (skip_broken=True); to avoid this, '
        f'{cure}.',
        logger='current',
        level=logging.WARNING)


def frame_or_broken(frame_id: str, keep: bool, build: Callable[..., dict], *args) -> dict:
    """Build the entry of a frame, or mark the frame as broken.

    Args:
        frame_id: Id of the frame.
        keep: If ``build`` raises, return ``dict(frame_id=..., broken=reason)``.
        build: Function that returns the entry.
        *args: Arguments of ``build``.

    Raises:
        FileNotFoundError, ValueError: Raised by ``build``, unless ``keep``.
    """
    try:
        return build(*args)
    except (FileNotFoundError, ValueError) as error:
        if not keep:
            raise
        return dict(frame_id=frame_id, broken=str(error))


def require_folder(path: str, expectation: str) -> None:
    """Raise if a folder is absent.

    Args:
        path: Path of the folder.
        expectation: Sentence that says what was expected.

    Raises:
        FileNotFoundError: With the absolute path and the expectation.
    """
    if not os.path.isdir(path):
        raise FileNotFoundError(f"folder '{path}' does not exist{_absolute(path)}. {expectation}")


def require_file(path: str, expectation: str) -> None:
    """Raise if a file is absent; see :func:`require_folder`."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"file '{path}' does not exist{_absolute(path)}. {expectation}")


def _absolute(path: str) -> str:
    """Return the absolute path in brackets if the given one is relative."""
    return '' if os.path.isabs(path) else f" (absolute: '{os.path.abspath(path)}')"


def read_frame_list(frame_list: str | Sequence[str], data_root: str) -> list[str]:
    """Read a list file: one frame per line; blank lines and ``#`` comments are skipped.

    Args:
        frame_list: Path of the list, absolute or relative to ``data_root``; or the list itself.
        data_root: Root of the data set.

    Returns:
        The entries, in the order of the file.

    Raises:
        FileNotFoundError: If the list does not exist.
        ValueError: If it is empty, lists a frame twice, or has an entry that is no text.
    """
    if isinstance(frame_list, str):
        path = os.path.join(data_root, frame_list)
        require_file(path, 'Expected a list of frames, one a line (frame_list).')
        with open(path, encoding='utf-8') as file:
            lines = (line.split('#')[0].strip() for line in file)
            entries = [line for line in lines if line]
    else:
        path, entries = 'of the configuration', list(frame_list)
        if not all(isinstance(entry, str) for entry in entries):
            raise ValueError(f'frame list {path}: expected names of frames in quotes, found '
                             f'{shorten([repr(entry) for entry in entries])}.')
    if not entries:
        raise ValueError(f"frame list '{path}' names no frame.")
    repeated = sorted(entry for entry, count in Counter(entries).items() if count > 1)
    if repeated:
        raise ValueError(f"frame list '{path}' names frames more than once: {shorten(repeated)}.")
    return entries


def pair_files(folders: Mapping[str, Folder],
               stems: Sequence[str] | None = None,
               keep_unpaired: bool = False) -> dict[str, dict[str, str]]:
    """Pair the files of several folders by stem: ``000012.png`` belongs to ``000012.bin``.

    Args:
        folders: Folder by content (``'scan'``, ``'image_2'``, ...).
        stems: Stems of the frames; ``None``: all stems.
        keep_unpaired: Warn about frames that miss a file, and return the expected path.

    Returns:
        Path of the file in each folder, for each stem (in the order of ``stems``, or sorted).

    Raises:
        FileNotFoundError: If a folder is absent or empty, or a frame misses a file; the message
            lists what each folder misses.
    """
    names, missing = match_files(folders, stems)
    if any(missing.values()):
        report_missing(
            f'every frame needs one file of the same stem in each folder, but '
            f'{describe_missing(folders, names, missing)}',
            'add them or name the complete frames in a list file (frame_list)'
            if stems is None else 'add them or remove these frames from the list', keep_unpaired)
    stems = _all_stems(names) if stems is None else stems
    return {
        stem: {
            name: os.path.join(folder.path,
                               names[name].get(stem, stem + folder.suffixes[0]))
            for name, folder in folders.items()
        }
        for stem in stems
    }


def match_files(folders: Mapping[str, Folder],
                stems: Sequence[str] | None = None) -> tuple[FileNames, dict[str, list[str]]]:
    """List the files of several folders by stem, and the stems that each folder misses.

    Args:
        folders: See :func:`pair_files`.
        stems: See :func:`pair_files`.

    Returns:
        tuple: File names by stem, and missing stems, for each folder.

    Raises:
        FileNotFoundError: If a folder is absent or empty.
    """
    names = {}
    for name, folder in folders.items():
        require_folder(folder.path, f'Expected the files of {name} '
                       f'({", ".join(folder.suffixes)}).')
        names[name] = list_files(folder)
        if not names[name]:
            raise FileNotFoundError(
                f"folder '{folder.path}' has no {' or '.join(folder.suffixes)} file.")
    stems = _all_stems(names) if stems is None else stems
    return names, {name: [stem for stem in stems if stem not in files]
                   for name, files in names.items()}


def describe_missing(folders: Mapping[str, Folder], found: FileNames,
                     missing: Mapping[str, Sequence[str]]) -> str:
    """Describe the result of :func:`match_files`, folder by folder."""
    return '; '.join(
        f"'{folders[name].path}' has {len(found[name])} files and misses "
        f'{shorten(absent) if absent else "none"}' for name, absent in missing.items())


def list_files(folder: Folder) -> dict[str, str]:
    """List the file names of a folder by stem, sorted, without hidden files and thumbnails.

    If two files have the same stem, the one with the preferred suffix is listed.
    """
    by_suffix: dict[str, dict[str, str]] = {suffix: {} for suffix in reversed(folder.suffixes)}
    with os.scandir(folder.path) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            if suffix.lower() in by_suffix and entry.is_file() and not NO_DATA.match(entry.name):
                by_suffix[suffix.lower()][stem] = entry.name
    files = {stem: file for named in by_suffix.values() for stem, file in named.items()}
    return dict(sorted(files.items()))


def _all_stems(found: FileNames) -> list[str]:
    return sorted(set().union(*found.values()))
