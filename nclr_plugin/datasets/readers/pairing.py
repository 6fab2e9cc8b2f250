"""Pairing the files of a frame by their stem."""
from __future__ import annotations

import logging
import os
import re
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from mmengine.logging import print_log

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')
# File managers put these beside the data. The hidden ones (.DS_Store, ._000012.png, .thumbnails)
# start with a dot.
NO_DATA = re.compile(r'\.|thumbs\.db$|(.*[^a-z])?thumb(nail)?s?([^a-z]|$)', re.IGNORECASE)


class Folder(NamedTuple):
    """A folder whose files are named by frame.

    Attributes:
        path: The folder.
        suffixes: The file suffixes that count, the preferred one first.
    """
    path: str
    suffixes: Tuple[str, ...]


FileNames = Dict[str, Dict[str, str]]  # of each folder, by stem


def shorten(items: Sequence[str], limit: int = 5) -> str:
    """Return the number of items and the first few of them, for a message."""
    shown = ', '.join(items[:limit]) + (', ...' if len(items) > limit else '')
    return f'{len(items)} ({shown})'


def report_missing(finding: str, cure: str, keep: bool) -> None:
    """Raise because files are missing, or only warn when their frames are kept.

    Args:
        finding: What was expected and found, as one clause.
        cure: What to do about it, as one clause.
        keep: Warn only.

    Raises:
        FileNotFoundError: Unless ``keep``.
    """
    if not keep:
        raise FileNotFoundError(f'{finding}; {cure}.')
    print_log(
        f'{finding}. These frames will be skipped as broken (skip_broken=True); to be rid of this, '
        f'{cure}.',
        logger='current',
        level=logging.WARNING)


def frame_or_broken(frame_id: str, keep: bool, build: Callable[..., dict], *args) -> dict:
    """Return the entry of a frame, or that of a broken one if a fault in it is to be kept.

    Args:
        frame_id: The frame.
        keep: Return ``dict(frame_id=..., broken=reason)``, which is skipped when it is loaded.
        build: Function that returns the entry.
        *args: Arguments of ``build``.

    Raises:
        FileNotFoundError, ValueError: By ``build``, unless ``keep``.
    """
    try:
        return build(*args)
    except (FileNotFoundError, ValueError) as error:
        if not keep:
            raise
        return dict(frame_id=frame_id, broken=str(error))


def require_folder(path: str, expectation: str) -> None:
    """Raise when a folder is absent.

    Args:
        path: The folder that must exist.
        expectation: What is looked for, as one sentence for the user.

    Raises:
        FileNotFoundError: With the absolute path and the expectation.
    """
    if not os.path.isdir(path):
        raise FileNotFoundError(
            f"folder '{path}' does not exist (absolute: '{os.path.abspath(path)}'). {expectation}")


def require_file(path: str, expectation: str) -> None:
    """Raise when a file is absent; see :func:`require_folder`."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"file '{path}' does not exist (absolute: '{os.path.abspath(path)}'). {expectation}")


def read_frame_list(frame_list: Union[str, Sequence[str]], data_root: str) -> List[str]:
    """Read a list file: one frame a line, blank lines and ``#`` comments left out.

    Args:
        frame_list: Path of the list, absolute or relative to ``data_root``; or the list itself.
        data_root: Root of the data set.

    Returns:
        The entries, in the order of the file.

    Raises:
        FileNotFoundError: If the list does not exist.
        ValueError: If it names no frame, or one frame twice.
    """
    if isinstance(frame_list, str):
        path = os.path.join(data_root, frame_list)
        require_file(path, 'Expected a list of frames, one a line (frame_list).')
        with open(path, encoding='utf-8') as file:
            lines = (line.split('#')[0].strip() for line in file)
            entries = [line for line in lines if line]
    else:
        path, entries = 'of the configuration', list(frame_list)
    if not entries:
        raise ValueError(f"frame list '{path}' names no frame.")
    repeated = sorted({entry for entry in entries if entries.count(entry) > 1}) \
        if len(set(entries)) < len(entries) else []
    if repeated:
        raise ValueError(f"frame list '{path}' names frames more than once: {shorten(repeated)}.")
    return entries


def pair_files(folders: Mapping[str, Folder],
               stems: Optional[Sequence[str]] = None,
               keep_unpaired: bool = False) -> Dict[str, Dict[str, str]]:
    """Pair the files of several folders by stem: ``000012.png`` goes with ``000012.bin``.

    Args:
        folders: What each folder holds (``'scan'``, ``'image_2'``, ...) and where.
        stems: The frames wanted; all that are there when None.
        keep_unpaired: Warn and keep frames that miss a file; its path is then where it should be.

    Returns:
        For each stem (in the order of ``stems``, or sorted) the path of its file in each folder.

    Raises:
        FileNotFoundError: If a folder is absent or empty, a wanted frame misses a file, or the
            folders hold different frames; the message lists what is missing on which side.
    """
    found, missing = match_files(folders, stems)
    if any(missing.values()):
        report_missing(
            f'every frame needs one file of the same stem in each folder, but '
            f'{describe_missing(folders, found, missing)}',
            'add them or name the complete frames in a list file (frame_list)'
            if stems is None else 'add them or take these frames off the list', keep_unpaired)
    wanted = _all_stems(found) if stems is None else stems
    return {
        stem: {
            name: os.path.join(folder.path,
                               found[name].get(stem, stem + folder.suffixes[0]))
            for name, folder in folders.items()
        }
        for stem in wanted
    }


def match_files(folders: Mapping[str, Folder],
                stems: Optional[Sequence[str]] = None) -> Tuple[FileNames, Dict[str, List[str]]]:
    """List the files of several folders by stem, and what each of them misses.

    Args:
        folders: See :func:`pair_files`.
        stems: See :func:`pair_files`.

    Returns:
        tuple: For each folder its file names by stem, and the stems that it misses.

    Raises:
        FileNotFoundError: If a folder is absent or empty.
    """
    found = {}
    for name, folder in folders.items():
        require_folder(folder.path, f'Expected the files of {name} '
                       f'({", ".join(folder.suffixes)}).')
        found[name] = list_files(folder)
        if not found[name]:
            raise FileNotFoundError(
                f"folder '{folder.path}' holds no {' or '.join(folder.suffixes)} file.")
    wanted = _all_stems(found) if stems is None else stems
    return found, {name: [stem for stem in wanted if stem not in files]
                   for name, files in found.items()}


def describe_missing(folders: Mapping[str, Folder], found: FileNames,
                     missing: Mapping[str, Sequence[str]]) -> str:
    """Say what :func:`match_files` found and missed, folder by folder."""
    return '; '.join(
        f"'{folders[name].path}' has {len(found[name])} files and misses "
        f'{shorten(absent) if absent else "none"}' for name, absent in missing.items())


def list_files(folder: Folder) -> Dict[str, str]:
    """List the file names of a folder by stem, sorted; hidden files and thumbnails do not count.

    Of two files of one stem the one with the preferred suffix is listed.
    """
    by_suffix: Dict[str, Dict[str, str]] = {suffix: {} for suffix in reversed(folder.suffixes)}
    with os.scandir(folder.path) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            if suffix.lower() in by_suffix and entry.is_file() and not NO_DATA.match(entry.name):
                by_suffix[suffix.lower()][stem] = entry.name
    files = {stem: file for named in by_suffix.values() for stem, file in named.items()}
    return dict(sorted(files.items()))


def _all_stems(found: FileNames) -> List[str]:
    return sorted(set().union(*found.values()))
