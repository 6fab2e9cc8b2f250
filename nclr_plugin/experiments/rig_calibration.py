"""Measure refinement and checks of a rig's poses on real frames that share one calibration."""
from __future__ import annotations

import time
from collections import defaultdict
from typing import Callable, Sequence

import numpy as np
import torch

from ..apis import Calibrator, Pair, check, consensus_pose, load_scan, refine
from ..apis.inputs import is_rig, read_rig
from ..apis.intrinsics import Intrinsics
from ..apis.joint_search import move
from ..apis.pose_confirmation import confirm_pose
from ..apis.refinement import GOOD, OFF, UNKNOWN
from ..apis.results import pose_difference
from ..apis.verification import count_places
from ..datasets.images import read_image
from ..datasets.readers import KittiObjectReader
from ..errors import DataLayoutError
from ..evaluation.confidence import auroc
from ..evaluation.edge_alignment import REFLECTANCE_WEIGHT, EdgeAlignment
from ..evaluation.photometric_consistency import PhotometricConsistency
from ..evaluation.scan_edges import EdgeFinder
from ..geometry.camera import in_view, project_points

OFFSETS_DEG, OFFSETS_M = (0.1, 0.25, 0.5, 1., 2., 4.), (0.02, 0.05, 0.1, 0.2, 0.5)
CHECK_DEG, CHECK_M = (0.25, 0.5, 1., 2.), (0.05, 0.1, 0.2)
PARTS = {'jumps of depth': (1., 0.), 'reflectance edges': (0., 1.),
         'both (used)': (1., REFLECTANCE_WEIGHT)}
NUM_BINS = 16  # of the normalised information distance
NETWORK_ERROR = 2., 0.56  # deviations, degrees and metres
FAR_DEG, FAR_M = (6., 12.), (1., 4.)
NUM_DRAWS = 2000  # of frames, from which shares of single comparisons are counted


class RigFrames:
    """Frames of the KITTI object layout that share one calibration.

    Args:
        roots: Data roots; the calibration that most of their frames have is used.
        names: Stems of the frames; ``None``: all.

    Attributes:
        lidar2cam: (4, 4), the calibration.

    Raises:
        DataLayoutError: If there are no frames.
    """

    def __init__(self, roots: Sequence[str], names: set[str] | None = None) -> None:
        groups = defaultdict(list)
        for root in roots:
            for frame in KittiObjectReader().read(root):
                image = frame['images'][0]
                if names is None or frame['frame_id'].split('/')[-1] in names:
                    key = np.concatenate([image['cam2img'].ravel(), image['lidar2cam'].ravel()])
                    groups[tuple(np.round(key, 6))].append(frame)
        if not groups:
            raise DataLayoutError(f'expected frames in {", ".join(roots)}, found none of the list.')
        self.frames = max(groups.values(), key=len)
        self.lidar2cam = np.asarray(self.frames[0]['images'][0]['lidar2cam'], np.float64)

    def __len__(self) -> int:
        return len(self.frames)

    def load(self, idx: int) -> Pair:
        """Read one frame."""
        frame = self.frames[idx]
        image = read_image(frame['frame_id'], dict(img_path=frame['images'][0]['img_path']))
        return Pair(image, load_scan(frame['lidar_path']), Intrinsics(
            frame['images'][0]['cam2img'], image_size=image.shape[1::-1]), frame['frame_id'])

    def draw(self, rng: np.random.Generator, number: int) -> list[Pair]:
        """Read random frames, in their order."""
        return [self.load(idx) for idx in np.sort(rng.choice(len(self), number, replace=False))]


def refinement_rows(frames: RigFrames, number: int, draws: int, off_deg: float, off_m: float,
                    say: Callable[[str], None]) -> list[dict[str, str]]:
    """Refine guesses that are off by up to some degrees and metres per axis; return one row.

    Args:
        frames: Frames of the rig.
        number: Number of frames in a draw.
        draws: Number of draws of guess and frames.
        off_deg, off_m: Largest offset of a guess about and along each axis.
        say: Prints a line for each draw.
    """
    guesses, refined, used, reliable, seconds = [], [], [], [], []
    limits = np.repeat((np.radians(off_deg), off_m), 3)
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        pairs = frames.draw(rng, number)
        guess = move(frames.lidar2cam, rng.uniform(-limits, limits)[None])[0]
        start = time.process_time()
        result = refine(pairs, guess)
        seconds.append(time.process_time() - start)
        for errors, pose in ((guesses, guess), (refined, result.refined), (used, result.lidar2cam)):
            errors.append(pose_difference(pose, frames.lidar2cam))
        reliable.append(result.reliable)
        say(f'{number} frames, draw {draw}: best pose {refined[-1][0]:.2f} deg '
            f'{refined[-1][1]:.2f} m; {"reliable" if result.reliable else "NOT RELIABLE"}: '
            f'{result.reason}')
    guesses, refined, used, reliable = map(np.array, (guesses, refined, used, reliable))
    return [{
        'frames': str(number), 'guess off by up to': f'{off_deg:g} deg, {off_m:g} m per axis',
        'draws': str(draws), 'best pose, median': _errors(np.median(refined, 0)),
        'best pose, largest': _errors(refined.max(0)), 'called reliable': str(reliable.sum()),
        'largest of these': _errors(used[reliable].max(0)) if reliable.any() else '-',
        'worse than the guess by at most': _errors((used - guesses).max(0)),
        'CPU s': f'{np.mean(seconds):.0f}'}]


def network_rows(frames: RigFrames, calibrator: Calibrator, number: int, draws: int,
                 say: Callable[[str], None]) -> list[dict[str, str]]:
    """Refine the pose that a network's poses agree on by all frames of a draw, without a guess.

    Args:
        frames: Frames of the rig.
        calibrator: Network.
        number: Number of frames in a draw.
        draws: Number of draws of frames.
        say: Prints a line for each draw.

    Returns:
        A row for the right images, and one for images exchanged within each draw.
    """
    rows = []
    for kind, shift in (('right', 0), ('exchanged', number // 2)):
        found, seconds = [], []
        for draw in range(draws):
            pairs = frames.draw(np.random.default_rng(draw), number)
            pairs = [pair._replace(image=other.image)
                     for pair, other in zip(pairs, pairs[shift:] + pairs[:shift])]
            start = time.process_time()
            pose = consensus_pose([calibrator(*pair[:3]) for pair in pairs])
            if pose is None:
                say(f'{number} frames, images {kind}, draw {draw}: the network found no pose')
                continue
            result = refine(pairs, pose)
            seconds.append(time.process_time() - start)
            found.append((*pose_difference(pose, frames.lidar2cam),
                          *pose_difference(result.lidar2cam, frames.lidar2cam), result.reliable))
            say(f'{number} frames, images {kind}, draw {draw}: network {_errors(found[-1][:2])} '
                f'off, used {_errors(found[-1][2:4])} off; '
                f'{"reliable" if result.reliable else "NOT RELIABLE"}: {result.reason}')
        errors = np.array(found, float).reshape(-1, 5)
        reliable = errors[errors[:, 4] > 0, 2:4]
        rows.append({
            'frames': str(number), 'images': kind, 'draws': str(draws),
            'network, median': _errors(np.median(errors[:, :2], 0)) if found else '-',
            'called reliable': str(len(reliable)),
            'median of these': _errors(np.median(reliable, 0)) if len(reliable) else '-',
            'largest of these': _errors(reliable.max(0)) if len(reliable) else '-',
            'CPU s': f'{np.mean(seconds):.0f}' if found else '-'})
    return rows


def _errors(values: np.ndarray) -> str:
    return '{:.2f} deg, {:.2f} m'.format(*values)


def check_rows(frames: RigFrames, number: int, draws: int,
               say: Callable[[str], None]) -> list[dict[str, str]]:
    """Check right and wrong calibrations; return a row of AUROC and one that counts verdicts.

    Offsets are in a random direction. The AUROC is that of the p-value against the right one.
    """
    def check_all(size: float, part: int) -> tuple[list[float], str]:
        results = []
        for draw in range(draws):
            rng = np.random.default_rng(1000 + draw)
            pairs = frames.draw(rng, number)
            direction = rng.standard_normal(3)
            offset = np.zeros((2, 3))
            offset[part] = size * direction / np.linalg.norm(direction)
            results.append(check(pairs, move(frames.lidar2cam, offset.reshape(1, 6))[0]))
            say(f'{number} frames, draw {draw}, offset {np.degrees(offset[0]).round(2)} deg '
                f'{offset[1].round(2)} m: {results[-1].verdict}, p = {results[-1].p_value:.2g}')
        verdicts = [result.verdict for result in results]
        return ([result.p_value for result in results],
                ' / '.join(str(verdicts.count(word)) for word in (OFF, UNKNOWN, GOOD)))

    right, verdicts = check_all(0., 0)
    area = {'frames': str(number), 'draws': str(draws), '': 'AUROC', 'right': '-'}
    counts = {**area, '': f'{OFF} / {UNKNOWN} / {GOOD}', 'right': verdicts}
    sizes = [(np.radians(size), 0, f'{size:g} deg') for size in CHECK_DEG]
    for size, part, name in [*sizes, *((size, 1, f'{size:g} m') for size in CHECK_M)]:
        values, counts[name] = check_all(size, part)
        values = np.array(right + values)
        area[name] = f'{auroc(values, np.arange(len(values)) < draws):.2f}'
    return [area, counts]


def part_rows(frames: RigFrames, number: int) -> list[dict[str, str]]:
    """Compare scores of the true pose with those of poses that are off along one axis.

    Args:
        frames: Frames of the rig.
        number: Number of frames that are scored.

    Returns:
        Two rows for each score, for draws of 1 and of 5 frames: the width of its peak, where half
        of its height is lost, and in how many of 100 draws the true pose scores higher than one
        that is off by each size.
    """
    offsets = np.concatenate([np.zeros((1, 6)), *(
        np.stack([sign * size * np.eye(6)[axis + 3 * part]
                  for sign in (1, -1) for axis in range(3)])
        for part, sizes in enumerate((np.radians(OFFSETS_DEG), OFFSETS_M)) for size in sizes)])
    poses = torch.from_numpy(move(frames.lidar2cam, offsets))
    scores = defaultdict(list)
    rng = np.random.default_rng(0)
    for idx in rng.choice(len(frames), min(number, len(frames)), replace=False):
        pair = frames.load(idx)
        image, points, K = pair.image, np.asarray(pair.points, np.float64), pair.cam2img.cam2img
        frame = EdgeAlignment(image, points, K, frames.lidar2cam, OFFSETS_DEG[-1])
        for name, weights in PARTS.items():
            frame.weights = weights
            scores[name].append(frame.about(frames.lidar2cam, 0.7, 1500)(poses)[:, 0].numpy())
        consistency = PhotometricConsistency(image, points, K)
        scores['rank correlation of differences'].append(np.array(
            [consistency.evidence(pose).reflectance for pose in poses.numpy()]))
        scores['normalised information distance'].append(
            _information(frame.image, points, frame.cam2img, poses))
    return [row for name, values in scores.items()
            for row in _part_rows(name, np.stack(values), rng)]


def _part_rows(name: str, scores: np.ndarray, rng: np.random.Generator) -> list[dict[str, str]]:
    """Summarise scores (F, 1 + O), the true pose first, for draws of one and of five frames."""
    fall = scores[:, :1] - scores[:, 1:]
    by_size = fall.reshape(len(fall), -1, 6)
    mean = by_size.mean((0, 2))
    sizes = len(OFFSETS_DEG)
    row = {'score': name}
    for unit, values, curve in (('deg', OFFSETS_DEG, mean[:sizes]), ('m', OFFSETS_M, mean[sizes:])):
        row[f'half height, {unit}'] = f'{np.interp(0.5, curve / curve.max(), values):.2f}'
    labels = [f'{size:g} deg' for size in OFFSETS_DEG] + [f'{size:g} m' for size in OFFSETS_M]
    rows = []
    for frames in (1, 5):
        draws = rng.integers(len(fall), size=(NUM_DRAWS, frames))
        higher = 100 * (by_size[draws].sum(1) > 0).mean((0, 2))
        rows.append({**row, 'frames': str(frames),
                     **{label: f'{share:.0f}' for label, share in zip(labels, higher)}})
    return rows


def load_single(roots: Sequence[str], names: set[str] | None,
                number: int) -> list[tuple[Pair, np.ndarray]]:
    """Read random pairs and their poses (4, 4), of KITTI object folders or of a ``rig.yaml``."""
    if is_rig(roots[0]):
        return [(Pair(*camera.pairs.load(name), camera.intrinsics, f'{camera.name}/{name}'),
                 camera.lidar2cam)
                for camera in read_rig(roots[0]) for name in camera.pairs.names][:number]
    frames = RigFrames(roots, names)
    order = np.random.default_rng(0).permutation(len(frames))[:number]
    return [(frames.load(idx), frames.lidar2cam) for idx in order]


def confirmation_rows(pairs: Sequence[tuple[Pair, np.ndarray]], say: Callable[[str], None],
                      intensities: bool = True) -> list[dict[str, str]]:
    """Count the poses of single pairs that are confirmed, and their errors.

    Poses are as far off as those of a network (median 1.35 deg, 0.38 m), as far off for an image of
    another place, and 6 to 12 deg and 1 to 4 m off.

    Args:
        pairs: Pairs of different places, and their poses.
        say: Prints a line for each pose.
        intensities: Whether scans keep their intensities.
    """
    found: dict[str, list] = {kind: [] for kind in ('near', 'other image', 'far')}
    for number, (pair, truth) in enumerate(pairs):
        pair = pair._replace(points=np.array(pair.points, np.float64))
        pair.points[:, 3:] *= intensities
        other = next((candidate for candidate, _ in pairs[number + 1:] + pairs[:number]
                      if count_places([pair.image, candidate.image]) == 2), None)
        rng = np.random.default_rng(number)
        near = _turned(truth, rng, *np.abs(rng.normal(0, NETWORK_ERROR)))
        far = _turned(truth, rng, rng.uniform(*FAR_DEG), rng.uniform(*FAR_M))
        for kind, image, start in (('near', pair, near), ('other image', other, near),
                                   ('far', pair, far)):
            if image is None:
                continue
            begin = time.process_time()
            result = confirm_pose(pair._replace(image=image.image, cam2img=image.cam2img), start)
            found[kind].append((result, pose_difference(result.lidar2cam, truth),
                                time.process_time() - begin))
            say('{}, {}: {:.2f} deg, {:.2f} m off'.format(
                pair.name, kind, *pose_difference(start, truth)) + '; {:.2f} deg, {:.2f} m '
                'off at consistency {:.2f}, lead {:.1f}'.format(*found[kind][-1][1], *result[1:3])
                + (': CONFIRMED' if result.reliable else ''))
    rows = []
    for kind, results in found.items():
        errors = np.array([error for result, error, _ in results if result.reliable])
        rows.append({
            'poses': kind, 'number': str(len(results)), 'confirmed': str(len(errors)),
            'median error': _errors(np.median(errors, 0)) if len(errors) else '-',
            'largest': _errors(errors.max(0)) if len(errors) else '-',
            'CPU s': f'{np.mean([seconds for *_, seconds in results]):.1f}' if results else '-'})
    return rows


def _turned(pose: np.ndarray, rng: np.random.Generator, degrees: float,
            metres: float) -> np.ndarray:
    """Return a pose that is off in a random direction."""
    direction = rng.standard_normal((2, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return move(pose, (direction * [[np.radians(degrees)], [metres]]).reshape(1, 6))[0]


def _information(image: np.ndarray, points: np.ndarray, cam2img: np.ndarray,
                 lidar2cam: torch.Tensor) -> np.ndarray:
    """Return mutual over joint information (P,) of intensity and grey value, by ranks."""
    grey = image.astype(np.float64).mean(2)
    height, width = grey.shape
    finder = EdgeFinder(points, lidar2cam[0].numpy(), cam2img, (width, height), 0.)
    intensity = _bins(finder.points[:, 3])
    levels = _bins(grey.ravel()).reshape(height, width)
    result = []
    for pose in lidar2cam.numpy():
        pixels, depth = project_points(finder.points[:, :3], pose, cam2img)
        mask = in_view(pixels, depth, height, width)
        column, row = np.rint(pixels[mask]).astype(int).T
        joint = np.zeros((NUM_BINS, NUM_BINS))
        np.add.at(joint, (intensity[mask], levels[row, column]), 1)
        joint /= max(1, joint.sum())
        entropy = [-(p[p > 0] * np.log(p[p > 0])).sum()
                   for p in (joint.sum(0), joint.sum(1), joint.ravel())]
        result.append((entropy[0] + entropy[1] - entropy[2]) / max(entropy[2], 1e-9))
    return np.array(result)


def _bins(values: np.ndarray) -> np.ndarray:
    """Return the bin of each value (N,), all bins being about equally full."""
    edges = np.quantile(values, np.arange(1, NUM_BINS) / NUM_BINS)
    return np.searchsorted(edges, values)
