"""Generate a demo data set; the command line of ``tools/create_demo_data.py``."""
from __future__ import annotations

import argparse
import contextlib
import functools
import multiprocessing
import os
import sys
import time
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

from .frame import render_frame
from .layouts import LAYOUTS, Job, Layout
from .options import DemoOptions
from .street import HEADINGS


def generate(root: str,
             layout: str,
             options: DemoOptions,
             workers: int = 1,
             report: Callable[[int, int], None] = lambda done, total: None) -> List[str]:
    """Generate a data set.

    The files depend on the layout and the options only, not on the number of workers.

    Args:
        root: Folder to fill; absent or empty.
        layout: Name in :data:`LAYOUTS`.
        options: What to make.
        workers: Processes.
        report: Called with the numbers of frames done and in all after each frame.

    Returns:
        Lines that say what was written where.

    Raises:
        ValueError: If the layout is unknown.
        FileExistsError: If ``root`` holds something.
    """
    if layout not in LAYOUTS:
        raise ValueError(f'layout: expected one of {sorted(LAYOUTS)}, found {layout!r}.')
    writer = LAYOUTS[layout](root, options)
    if os.path.isdir(root) and os.listdir(root):
        raise FileExistsError(f"'{root}': expected an absent or empty folder, found "
                              f'{len(os.listdir(root))} entries; remove it or name another.')
    jobs, records = writer.jobs(), []
    if workers > 1:
        with _one_thread(), multiprocessing.Pool(workers, _use_one_thread) as pool:
            for record in pool.imap(functools.partial(_make, writer), jobs):
                records.append(record)
                report(len(records), len(jobs))
    else:
        for job in jobs:
            records.append(_make(writer, job))
            report(len(records), len(jobs))
    return writer.finish(records)


def _make(writer: Layout, job: Job) -> Tuple[Job, Any]:
    cameras, lidar = writer.mounts(job)
    options = writer.options
    frame = render_frame(cameras, lidar, options.seed, job.split, job.town, job.index,
                         options.heading)
    return job, writer.write(job, frame)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """End OpenCV's threads: a forked process that ends those it was forked beside hangs."""
    import cv2
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _use_one_thread() -> None:
    import cv2
    cv2.setNumThreads(1)


def parse_args(args: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Generate driving scenes seen by a LiDAR and cameras, in the layout of a '
        'public data set, with labels.')
    parser.add_argument('out', help='folder to fill; absent or empty')
    parser.add_argument('--layout', choices=sorted(LAYOUTS), default='semantickitti')
    parser.add_argument('--scenes', type=int, default=200, help='training scenes')
    parser.add_argument('--val-scenes',
                        type=int,
                        default=None,
                        help='validation scenes, in another town (a quarter of --scenes)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--towns', type=int, default=4, help='training towns')
    parser.add_argument('--heading',
                        choices=HEADINGS,
                        default='road',
                        help='road: the vehicle drives along the street; free: any heading, '
                        'anywhere on the carriageway')
    parser.add_argument('--image-size',
                        type=int,
                        nargs=2,
                        metavar=('WIDTH', 'HEIGHT'),
                        help='pixels (kitti: 1242 375; nuscenes: 1600 900)')
    parser.add_argument(
        '--focal',
        type=float,
        help='focal length, pixels (kitti: 721.5; nuscenes, front: 1266; scaled with the width)')
    parser.add_argument('--beams',
                        type=int,
                        choices=(64, 32),
                        help='LiDAR beams (kitti: 64; nuscenes: 32)')
    parser.add_argument('--azimuths',
                        type=int,
                        help='LiDAR steps of a turn (kitti: 1800; nuscenes: 1084)')
    parser.add_argument('--sensor-height',
                        type=float,
                        help='height of the LiDAR, metres (kitti: 1.73; nuscenes: 1.84)')
    parser.add_argument('--workers', type=int, default=1, help='processes')
    return parser.parse_args(args)


def main(args: Optional[Sequence[str]] = None) -> None:
    """Run the command line."""
    parsed = parse_args(args)
    val_scenes = parsed.val_scenes
    if val_scenes is None:
        val_scenes = (parsed.scenes + 3) // 4
    start = time.time()
    try:
        options = DemoOptions(scenes=parsed.scenes,
                              val_scenes=val_scenes,
                              seed=parsed.seed,
                              towns=parsed.towns,
                              heading=parsed.heading,
                              image_size=tuple(parsed.image_size) if parsed.image_size else None,
                              focal=parsed.focal,
                              beams=parsed.beams,
                              azimuths=parsed.azimuths,
                              sensor_height=parsed.sensor_height)
        lines = generate(parsed.out, parsed.layout, options, parsed.workers, _show_progress)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'error: {error}')
    seconds, total = time.time() - start, options.scenes + options.val_scenes
    print(f"\n{total} scenes in {seconds:.0f} s ({seconds / total:.2f} s a scene), layout "
          f"'{parsed.layout}', seed {parsed.seed}, heading '{parsed.heading}':")
    print('\n'.join(lines))


def _show_progress(done: int, total: int) -> None:
    if sys.stdout.isatty():
        print(f'\rscene {done}/{total}', end='', flush=True)
    elif done % max(total // 10, 1) == 0 or done == total:
        print(f'scene {done}/{total}', flush=True)
