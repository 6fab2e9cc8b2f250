"""Whether frames confirm a pose: cross-validation, the number of places, and a shift in time.

A pose is always judged by frames that it was not fitted to: the best of many poses fits its own
frames better by chance, too.
"""
from __future__ import annotations

from typing import NamedTuple, Sequence

import cv2
import numpy as np
import torch

from ..evaluation.edge_alignment import PoseScorer
from ..utils.optional import optional_import
from .joint_search import FINE, JointScore, move, search_jointly

NUM_FOLDS = 2
NUM_OTHERS = 64  # other poses that a pose is compared with
OTHERS_DEG, OTHERS_M = (1.5, 4.), (0.2, 0.5)  # how far away they are
OTHERS_BLUR = 1.5  # pixels, of the images that they are compared by
MAX_SHIFT = 6  # frames
SHIFT_SIZE = 400  # pairs of points of each kind when scans are exchanged
# Deviations of the scores of other poses by which those of each camera must be exceeded: at true
# poses of single frames it is 1.2 to 5, at poses 2 deg off it is below 0.8 in three of four.
MIN_OF_CAMERA = 1.
MIN_SHIFTED = 4  # frames on which a shift is judged at least
# Images as they are compared: width and blur that is subtracted, pixels, and the correlation above
# which they are of one place. Those half a metre apart reach 0.77, those of a rig that stands 1.
PLACE_WIDTH, PLACE_SIGMA, SAME_PLACE = 160, 5., 0.6
AT_LIMIT = 0.97  # share of the range


class Verification(NamedTuple):
    """Judgement of frames on poses that were refined on other frames.

    Attributes:
        preference: Standard errors by which they prefer these poses to the guess.
        evidence: Standard errors by which they prefer the better of both to other poses up to 4 deg
            and 0.5 m away. About 0 if image and scan are unrelated.
        p_value: Probability of so high a preference if the guess were as good.
        spread: (2, 6), offsets of the poses that the two halves of the frames lead to.
    """
    preference: float
    evidence: float
    p_value: float
    spread: np.ndarray


def verify(score: JointScore, start: np.ndarray) -> Verification:
    """Refine on each half of the frames, and score the result and the guess on the other half.

    With few frames, a pose is scored on the other half of the columns of all images. These are of
    the same places, and may agree on a wrong pose; so the poses of the halves of the frames are
    found, too. Of a single frame, there are only columns.

    Args:
        score: Scores of the frames.
        start: (6,), offset at which the searches start.
    """
    num_units, num_frames = len(score.frame), len(score.frames)
    by_frame = score.frame * NUM_FOLDS // num_frames
    fold = by_frame if score.num_parts == 1 else np.arange(num_units) % NUM_FOLDS
    others = _other_offsets()
    gain, margin, spread = np.zeros(num_units), np.zeros(num_units), []
    for number in range(NUM_FOLDS):
        unused = fold == number
        offset = search_jointly(score, start, ~unused)
        offsets = np.concatenate((np.zeros((1, 6)), offset[None], others, offset + others))
        values = score.about(offset, used=unused)(offsets[:2])
        gain[unused] = values[1] - values[0]
        better = int(values[1].sum() > values[0].sum())
        values = score.about(offset, OTHERS_BLUR, used=unused)(offsets)
        near = values[2 + better * NUM_OTHERS:][:NUM_OTHERS]
        margin[unused] = values[better] - near.mean(0)
        spread.append(offset)
    if 1 < num_frames and score.num_parts > 1:
        spread = [search_jointly(score, start, by_frame != number)
                  for number in range(NUM_FOLDS)]
    preference = standard_errors(gain)
    stats = optional_import('scipy.stats', 'scipy', 'Comparing image and scan')
    p_value = float(stats.t.sf(preference, max(1, num_units - 1)))
    return Verification(preference, standard_errors(margin), p_value, np.stack(spread))


def count_places(images: Sequence[np.ndarray]) -> int:
    """Return the number of images (H, W, 3) that are not nearly the same as another one counted."""
    places: list[np.ndarray] = []
    for image in images:
        size = PLACE_WIDTH, max(1, round(PLACE_WIDTH * image.shape[0] / image.shape[1]))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32).mean(2)
        detail = (small - cv2.GaussianBlur(small, (0, 0), PLACE_SIGMA)).ravel()
        detail /= np.linalg.norm(detail).clip(min=1e-9)
        if all(place.shape != detail.shape or place @ detail < SAME_PLACE for place in places):
            places.append(detail)
    return len(places)


def find_misplaced(score: JointScore, offset: np.ndarray) -> int | None:
    """Find a camera of a rigid rig whose frames do not prefer a pose to others far from it.

    Args:
        score: Scores of the frames.
        offset: (6,).

    Returns:
        Its first frame; ``None`` if all cameras prefer the pose, or if there is only one.
    """
    if score.camera.max() == 0:
        return None
    too_low = np.flatnonzero(lead(score, offset) < MIN_OF_CAMERA)
    return int(np.flatnonzero(score.camera == too_low[0])[0]) if len(too_low) else None


def lead(score: JointScore, offset: np.ndarray) -> np.ndarray:
    """Return the standard deviations by which a pose scores higher than others, for each camera.

    The others are 1.5 to 4 deg and 0.2 to 0.5 m away, in random directions.

    Args:
        score: Scores of the frames.
        offset: (6,), the pose.
    """
    values = score.by_frame(score.about(offset)(offset + np.concatenate(
        (np.zeros((1, 6)), _other_offsets()))))
    cameras = np.arange(score.camera.max() + 1)
    by_camera = np.stack([values[:, score.camera == number].sum(1) for number in cameras])
    return (by_camera[:, 0] - by_camera[:, 1:].mean(1)) / by_camera[:, 1:].std(1).clip(min=1e-9)


def at_limit(score: JointScore, offsets: np.ndarray) -> bool:
    """Return whether an offset (..., 6) is at the limit of the range along any axis."""
    return bool((np.abs(offsets) > AT_LIMIT * score.scale).any())


def find_shift(score: JointScore, offsets: np.ndarray) -> tuple[int, float]:
    """Find whether scans some frames earlier or later fit the images better.

    Args:
        score: Scores of the frames, which are in the order of time for each camera.
        offsets: (K, 6), poses at which they are compared.

    Returns:
        Number of frames by which the best scans are later than the images, and the standard errors
        by which they are better than those of the images' own frames at the same pose; (0, 0.) if
        none is better.
    """
    best = 0, 0.
    num_frames = len(score.frames)
    if num_frames < MIN_SHIFTED:
        return best
    poses = move(score.lidar2cam, offsets)
    guess = [ref2cam @ score.lidar2cam for ref2cam in score.ref2cam]
    edges = [frame.finder.visible(pose) for frame, pose in zip(score.frames, guess)]

    def scores(image: int, scan: int) -> np.ndarray:
        frame, other = score.frames[image], score.frames[scan]
        scorer = PoseScorer(frame.edge_maps(FINE[0]), edges[scan], other.finder.has_intensity,
                            guess[image], frame.cam2img, SHIFT_SIZE, 1, frame.weights)
        return scorer(torch.from_numpy(score.ref2cam[image] @ poses))[:, 0].double().numpy()

    unshifted = np.stack([scores(idx, idx) for idx in range(num_frames)], 1)  # (K, F)
    for shift in range(-MAX_SHIFT, MAX_SHIFT + 1):
        images, scans = score.shifted(shift)
        if shift == 0 or len(images) < MIN_SHIFTED:
            continue
        shifted = np.stack([scores(*pair) for pair in zip(images, scans)], 1)
        pose = shifted.sum(1).argmax()
        # The unshifted scans may fit best at another pose, which may be wrong.
        if shifted[pose].sum() > unshifted[:, images].sum(1).max():
            gain = standard_errors(shifted[pose] - unshifted[pose, images])
            best = max(best, (shift, gain), key=lambda found: found[1])
    return best


def standard_errors(values: np.ndarray) -> float:
    """Return the mean of values in standard errors; 0 for fewer than two, or equal ones."""
    if len(values) < 2 or values.std() == 0:
        return 0.
    return float(values.mean() / values.std(ddof=1) * np.sqrt(len(values)))


def _other_offsets() -> np.ndarray:
    """Return offsets (P, 6) in random directions, in a shell about a pose."""
    rng = np.random.default_rng(2)
    direction = rng.standard_normal((NUM_OTHERS, 2, 3))
    direction /= np.linalg.norm(direction, axis=2, keepdims=True)
    size = np.stack((np.radians(rng.uniform(*OTHERS_DEG, NUM_OTHERS)),
                     rng.uniform(*OTHERS_M, NUM_OTHERS)), 1)
    return (direction * size[..., None]).reshape(-1, 6)
