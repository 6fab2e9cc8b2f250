"""A trained network as a function of an image and a scan."""
from __future__ import annotations

from typing import Any, List, Optional, Sequence, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from nclr_plugin.geometry.camera import project_points
from nclr_plugin.structures import CalibrationDataSample

from ..checkpoints.config_text import parse_config
from ..errors import BrokenFrameError, CalibrationInputError
from ..datasets.pose_check import check_pose
from ..datasets.readers.calibration import check_lidar2cam
from ..engine.hooks.checkpoint_guard_hook import check_state_dict
from ..evaluation.appearance import MIN_AGREEMENT, Appearance
from ..models.pretrainers.base import CalibrationModel
from ..utils.sparse import set_sparse_algorithm
from .calibration import Calibration, Matches, contradicts, pose_covariance
from .intrinsics import Intrinsics, check_image, make_intrinsics
from .pose_search import search_pose
from .scans import ScanChecker, check_in_front

REPLACED = ('LoadScan', 'AccumulateSweeps', 'LoadImages', 'RandomPlacement',
            'PackCalibrationInputs')  # steps of a test pipeline that are for data sets
LIDAR_TO_CAMERA_AXES = np.array([[0., -1., 0.], [0., 0., -1.], [1., 0., 0.]])
MIN_INLIER_RATIO = 0.5
SEARCH_MARGIN = 0.05  # more of a searched pose: the best of many agrees better by chance, too
MAX_DISTANCE = 15.  # metres: from afar so little of a scan is in view that it may agree by chance
MIN_SHARE = 0.1  # of the network's belief on the direction, for a second one to be tried
MIN_FOR_COVARIANCE = 3  # matches that fix no pose
INPUT = 'the given scan'


class Calibrator:
    """Calibrates cameras against a LiDAR with a network of this package (NCLR, CrossI2P).

    The network is built and its weights are loaded once; then each call takes one scan. Images and
    scan go through the test pipeline of the config, without the random placement.

    A pose that its matches and the appearance do not confirm is only where the search begins: for
    the pose near it under which image and scan agree best
    (:func:`~nclr_plugin.apis.pose_search.search_pose`, a few seconds), and then for that near the
    pose of a second direction in which the camera may look as the network believes.

    Args:
        checkpoint: Checkpoint of a training by ``tools/train.py``.
        config: File or ``Config`` of it; ``None``: the one that the checkpoint holds.
        device: ``'cpu'``, ``'cuda:0'``, ...; ``None``: a GPU if there is one.
        min_inlier_ratio, min_agreement: Poses with less of one are not reliable. How well such
            scores tell wrong images on a test set, ``MismatchMetric`` says (of the smaller image
            that the network sees, in which the agreement is a little lower). A pose that was
            searched needs an agreement of 0.05 more, whatever its matches.
        search: Whether a pose is searched where that of the matches is not reliable.
        intensity_scale: What turns the intensities of scans into 0..1; see
            :class:`~nclr_plugin.apis.scans.ScanChecker` for what is done without.

    Raises:
        FileNotFoundError: No such file.
        BrokenCheckpointError: torch cannot read the file.
        CheckpointMismatchError: It holds another network.
        CalibrationInputError: It holds no config and none is given, or the config is not of a
            calibration network, or not of this version.

    Example:
        >>> calibrator = Calibrator('iter_30000.pth')              # doctest: +SKIP
        >>> result = calibrator(image, points, cam2img)            # doctest: +SKIP
        >>> result.lidar2cam if result.reliable else None          # doctest: +SKIP
    """

    def __init__(self,
                 checkpoint: str,
                 config: Union[str, Config, None] = None,
                 device: Optional[str] = None,
                 min_inlier_ratio: float = MIN_INLIER_RATIO,
                 min_agreement: float = MIN_AGREEMENT,
                 search: bool = True,
                 intensity_scale: Optional[float] = None) -> None:
        content = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu')
        self.config = _config_of(content, str(checkpoint), config)
        self.device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        scope = self.config.get('default_scope') or 'mmengine'
        with DefaultScope.overwrite_default_scope(scope):
            try:
                self.model = MODELS.build(self.config.model)
            except (KeyError, TypeError) as error:
                raise CalibrationInputError(
                    f"checkpoint '{checkpoint}': the network of its config cannot be built "
                    f'({error}): it is of another version of this package, or of a package that '
                    'is not installed; give a config that fits the weights (config).') from error
            if not isinstance(self.model, CalibrationModel):
                raise CalibrationInputError(
                    f"checkpoint '{checkpoint}': expected a calibration network (NCLR, CrossI2P), "
                    f'found {type(self.model).__name__}; take one of configs/nclr or '
                    'configs/crossi2p.')
            steps = self.config.test_dataloader.dataset.pipeline
            self.pipeline = Compose([step for step in steps if step['type'] not in REPLACED])
        weights = content.get('state_dict', content)
        check_state_dict(self.model, weights)
        self.model.load_state_dict(weights, strict=False)
        self.model.to(self.device).eval()
        set_sparse_algorithm(self.model, self.device)
        self.min_inlier_ratio = min_inlier_ratio
        self.min_agreement = min_agreement
        self.search = search
        trained = (content.get('meta') or {}).get('dataset_meta') or {}
        self.check_scan = ScanChecker(intensity_scale, trained.get('intensity_scale'))

    def __call__(self,
                 image: Union[np.ndarray, Sequence[np.ndarray]],
                 points: np.ndarray,
                 cam2img: Any,
                 initial: Any = None) -> Union[Calibration, List[Calibration]]:
        """Find the pose of a camera, or of several that belong to one scan.

        Args:
            image: RGB, (H, W, 3) uint8; or a list of them, which the network then sees together:
                for networks that were trained on several cameras a scan.
            points: (N, 3 or 4): x, y, z, intensity; metres, LiDAR frame (x forward, y left, z up),
                about the sensor. See :class:`~nclr_plugin.apis.scans.ScanChecker`.
            cam2img: (3, 3), or :class:`~nclr_plugin.apis.Intrinsics`, whose distortion is taken
                out; a list of them for a list of images.
            initial: (4, 4) rough ``lidar2cam``. It is needed where the LiDAR is not mounted
                upright: by its rotation the scan is stood up before the network sees it. A pose
                that is turned by more than 30 deg against it is not reliable. Its translation
                only serves to check that the camera sees the scan. A list for a list.

        Returns:
            What was found; a list for a list.

        Raises:
            CalibrationInputError: If there is nothing to calibrate by, see
                :mod:`~nclr_plugin.apis.scans` and :mod:`~nclr_plugin.apis.intrinsics`.
        """
        single = isinstance(image, np.ndarray) or not isinstance(image, (list, tuple))
        images, cameras, guesses = ([image], [cam2img], [initial]) if single else (
            image, cam2img, [None] * len(image) if initial is None else initial)
        if not len(images) == len(cameras) == len(guesses) or not images:
            raise CalibrationInputError(
                'expected as many images, intrinsics and initial guesses, found '
                f'{len(images)}, {len(cameras)} and {len(guesses)}.')
        points = self.check_scan(points)
        cameras = [make_intrinsics(*camera) if isinstance(camera, Intrinsics) else
                   make_intrinsics(camera) for camera in cameras]
        for number, (picture, camera) in enumerate(zip(images, cameras)):
            check_image(picture, camera, 'image' if single else f'image {number}')
        images = [camera.undistort(picture) for picture, camera in zip(images, cameras)]
        guesses = [guess if guess is None else _rigid(guess) for guess in guesses]
        for picture, camera, guess in zip(images, cameras, guesses):
            if guess is not None:
                check_in_front(points, guess, camera.cam2img, *picture.shape[:2])
                check_pose(points, guess, camera.cam2img, picture.shape[1::-1], 'initial guess')
        upright = _upright(guesses[0])
        appearances = [Appearance(picture, points, camera.cam2img)
                       for picture, camera in zip(images, cameras)]
        found: List[Optional[Calibration]] = [None] * len(images)
        for candidate in range(2):
            sample, seen_by = self._predict(images, points, cameras, upright, candidate)
            for view, before in enumerate(found):
                if before is None or not before.reliable:
                    now = self._result(sample, view, seen_by[view], images[view], points,
                                       cameras[view].cam2img, upright, guesses[view],
                                       appearances[view])
                    found[view] = now if before is None or now.reliable else before
            if all(result.reliable for result in found) or not self._has_second(sample):
                break
        return found[0] if single else found

    def _has_second(self, sample: CalibrationDataSample) -> bool:
        """Whether the network holds a second direction possible, and it may be tried."""
        shares = sample.get('pred_direction_probs')
        return (self.search and shares is not None
                and bool((shares[:, 1] >= MIN_SHARE).any()))

    @torch.no_grad()
    def _predict(self, images: List[np.ndarray], points: np.ndarray, cameras: List[Intrinsics],
                 upright: np.ndarray, candidate: int):
        """Return the network's prediction, and the intrinsics (V, 3, 3) of the images it saw."""
        cam2img = np.stack([camera.cam2img for camera in cameras])
        turned = points.copy()
        turned[:, :3] = points[:, :3] @ upright.T
        results = dict(
            frame_id='given', lidar_path=INPUT, points=turned, imgs=list(images), cam2img=cam2img,
            images=[dict(name=str(view)) for view in range(len(images))],
            rng=np.random.default_rng(0))
        try:
            results = self.pipeline(results)
        except BrokenFrameError as error:
            raise CalibrationInputError(error.reason) from error
        imgs = torch.from_numpy(np.stack(results['imgs'])).permute(0, 3, 1, 2).contiguous()
        sample = CalibrationDataSample()
        sample.cam2img = torch.from_numpy(results['cam2img'])
        batch = dict(inputs=dict(points=[torch.from_numpy(results['points'])], imgs=[imgs]),
                     data_samples=[sample])
        batch = self.model.data_preprocessor(batch)
        sample, = self.model(**batch, mode='predict', hypothesis=candidate)
        return sample, results['cam2img']

    def _result(self, sample: CalibrationDataSample, view: int, seen_by: np.ndarray,
                image: np.ndarray, points: np.ndarray, cam2img: np.ndarray, upright: np.ndarray,
                initial: Optional[np.ndarray], appearance: Appearance) -> Calibration:
        found = sample.pred_matches[view]
        valid = bool(sample.pred_valid[view])
        matched = _array(found.points) @ upright  # back to the frame as given
        # The image was scaled and cut, and its intrinsics with it.
        pixels = _affine(cam2img @ np.linalg.inv(seen_by), _array(found.pixels))
        pose, agreement, ratio, searched, reliable = np.eye(4), 0., 0., False, False
        inliers, error = np.zeros(len(matched), bool), float('nan')
        covariance = np.diag(np.full(6, np.inf))
        if valid:
            pose = sample.pred_lidar2cam[view].double().cpu().numpy().copy()
            pose[:3, :3] = pose[:3, :3] @ upright
            ratio = float(sample.pred_inlier_ratio[view])
            pose, agreement, searched, reliable = self._confirmed(
                pose, ratio, appearance, upright, initial)
            projected, depth = _project(matched, pose, seen_by)
            distance = np.linalg.norm(projected - _array(found.pixels), axis=1)
            inliers = (depth > 0) & (distance < self.model.pose_head.inlier_threshold)
            ratio = float(inliers.mean()) if searched else ratio
        if inliers.sum() > MIN_FOR_COVARIANCE:
            residual = _project(matched, pose, cam2img)[0] - pixels
            error = float(np.sqrt((residual[inliers]**2).sum(1).mean()))
            covariance = pose_covariance(matched[inliers], pixels[inliers], pose, cam2img)
        return Calibration(
            pose, valid, reliable, ratio, agreement, error, covariance,
            Matches(matched, pixels, _array(found.scores), inliers), cam2img, image, points,
            initial, searched)

    def _confirmed(self, pose: np.ndarray, ratio: float, appearance: Appearance,
                   upright: np.ndarray, initial: Optional[np.ndarray]):
        """Return the pose if matches and appearance confirm it, else the best one near it.

        A pose that contradicts the initial guess is not confirmed, nor is one searched near it.

        Returns:
            tuple: a pose (4, 4), its agreement, whether it was searched, whether it is reliable.
        """
        evidence = appearance.evidence(pose)
        agreement = evidence.agreement
        if contradicts(pose, initial):
            return pose, agreement, False, False
        if ratio >= self.min_inlier_ratio and self._agrees(pose, agreement, 0.):
            return pose, agreement, False, True
        if self.search and np.isfinite(evidence.reflectance):  # by which is searched
            better = search_pose(appearance, pose, upright)
            found = appearance.agreement(better)
            if self._agrees(better, found, SEARCH_MARGIN) and not contradicts(better, initial):
                return better, found, True, True
        return pose, agreement, False, False

    def _agrees(self, pose: np.ndarray, agreement: float, margin: float) -> bool:
        near = np.linalg.norm(pose[:3, 3]) <= MAX_DISTANCE
        return near and agreement >= self.min_agreement + margin


def calibrate(image: np.ndarray, points: np.ndarray, cam2img: Any,
              checkpoint: Union[str, Calibrator], initial: Any = None,
              **options: Any) -> Calibration:
    """Find the pose of a camera by one image and one scan.

    Args:
        image, points, cam2img, initial: See :class:`Calibrator`.
        checkpoint: File; for several pairs a :class:`Calibrator`, which is loaded once.
        **options: Arguments of :class:`Calibrator`.
    """
    calibrator = checkpoint if isinstance(checkpoint, Calibrator) else Calibrator(
        checkpoint, **options)
    return calibrator(image, points, cam2img, initial)


def _config_of(content: dict, path: str, config: Union[str, Config, None]) -> Config:
    if config is None:
        text = content.get('meta', {}).get('cfg')
        if not text:
            raise CalibrationInputError(f"checkpoint '{path}': expected the config of its training "
                                        'in it, found none; give its file (config).')
        values = parse_config(text)
        if values is None or 'model' not in values:
            raise CalibrationInputError(f"checkpoint '{path}': expected a config with 'model' in "
                                        'it, found other text; give its file (config).')
        config = Config(values)
    elif not isinstance(config, Config):
        config = Config.fromfile(config)
    return config


def _rigid(matrix: Any) -> np.ndarray:
    try:
        return check_lidar2cam(matrix, 'initial lidar2cam')
    except ValueError as error:
        raise CalibrationInputError(str(error)) from error


def _upright(guess: Optional[np.ndarray]) -> np.ndarray:
    """(3, 3) rotation that stands a scan up as the guess says: x along the optical axis, z up."""
    return np.eye(3) if guess is None else LIDAR_TO_CAMERA_AXES.T @ guess[:3, :3]


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


def _affine(matrix: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return pixels @ matrix[:2, :2].T + matrix[:2, 2]


def _project(points: np.ndarray, lidar2cam: np.ndarray, cam2img: np.ndarray):
    """Pixels (K, 2) and depths (K,)."""
    pixels, depth = project_points(*map(torch.from_numpy, (points, lidar2cam, cam2img)))
    return pixels.numpy(), depth.numpy()
