"""Generate a demo data set."""
from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
from typing import Any, Callable, Iterator

import cv2

from .frame import render_frame
from .layouts import LAYOUTS, Job, Layout
from .layouts.base import DemoOptions


def generate(root: str, layout: str, options: DemoOptions, workers: int = 1,
             report: Callable[[int, int], None] = lambda done, total: None) -> list[str]:
    """Generate a demo data set in the layout of a public one.

    The files depend only on the layout and the options, not on the number of workers.

    Args:
        root: Folder to write; it must be empty or not exist.
        layout: Name in :data:`LAYOUTS`.
        options: Options of the generator.
        workers: Number of processes.
        report: Function to call after each frame, with the numbers of finished and of all frames.

    Returns:
        Lines that report the written frames and their paths.

    Raises:
        ValueError: If the layout is unknown, or has fewer sequences than ``options.towns``.
        FileExistsError: If ``root`` is not empty.
    """
    if layout not in LAYOUTS:
        raise ValueError(f'layout: expected one of {sorted(LAYOUTS)}, found {layout!r}.')
    writer = LAYOUTS[layout](root, options)
    if os.path.isdir(root) and os.listdir(root):
        raise FileExistsError(f"'{root}': expected an absent or empty folder, found "
                              f'{len(os.listdir(root))} entries; remove it or choose another.')
    jobs, records = writer.jobs(), []
    if workers > 1:
        with _one_thread(), multiprocessing.Pool(workers, cv2.setNumThreads, (1, )) as pool:
            for record in pool.imap(functools.partial(_make, writer), jobs):
                records.append(record)
                report(len(records), len(jobs))
    else:
        for job in jobs:
            records.append(_make(writer, job))
            report(len(records), len(jobs))
    return writer.finish(records)


def _make(writer: Layout, job: Job) -> tuple[Job, Any]:
    cameras, lidar = writer.mounts(job)
    options = writer.options
    frame = render_frame(cameras, lidar, options.seed, job.split, job.town, job.index,
                         options.heading)
    return job, writer.write(job, frame)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Stop OpenCV's threads before a fork, since a child that stops inherited threads hangs."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
