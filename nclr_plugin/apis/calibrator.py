"""Calibrate a camera with a trained network, given an image and a scan."""
from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from ..checkpoints.loading import check_state_dict
from ..checkpoints.voxels import parse_config
from ..datasets.readers.calibration import check_lidar2cam, check_pose
from ..errors import BrokenFrameError, CalibrationInputError
from ..geometry.camera import project_points
from ..models.pretrainers.base import CalibrationModel
from ..structures import CalibrationDataSample
from .intrinsics import Intrinsics, check_image, make_intrinsics
from .joint_search import Pair
from .pose_confirmation import MIN_CONSISTENCY, MIN_EDGE_LEAD, confirm_pose
from .results import Calibration, Matches, pose_covariance, unknown_covariance
from .scans import ScanChecker, check_in_front, level_rotation

# Steps of a test pipeline that read and pack a data set.
DATASET_STEPS = ('LoadPoints', 'AccumulateSweeps', 'LoadImages', 'MixScans',
                 'RandomRigidTransform', 'PackCalibrationInputs')
LIDAR_TO_CAMERA_AXES = np.array([[0., -1., 0.], [0., 0., -1.], [1., 0., 0.]])
MIN_DIRECTION_PROB = 0.1  # less likely second viewing directions are not tried
MIN_FOR_COVARIANCE = 3  # this many matches, or fewer, do not fix a pose


class Calibrator:
    """Calibrate cameras against a LiDAR with a network of this package (NCLR, CrossI2P).

    The network is built and its weights are loaded once. Each call then calibrates one scan. Images
    and scan go through the test pipeline of the config, without the random rigid transform.

    The pose of the matches is refined by the edges of the image, as those of many frames are
    (:func:`~nclr_plugin.apis.pose_confirmation.confirm_pose`; a second or two). A pose is reliable
    if two scores that know nothing of the network confirm it: photometric consistency, and the lead
    of its edges over those of poses nearby. If they confirm none, the network's second viewing
    direction is tried.

    Args:
        checkpoint: Checkpoint of a training by ``tools/train.py``.
        config: File or ``Config`` of the network; ``None`` uses the one in the checkpoint.
        device: ``'cpu'``, ``'cuda:0'``, ...; ``None`` uses a GPU if there is one.
        min_consistency: Photometric consistency below which a pose is not reliable.
        min_edge_lead: Lead of the edges below which a pose is not reliable
            (:func:`~nclr_plugin.apis.verification.lead`).
        search: Whether to refine poses.
        intensity_scale: Factor that scales the intensities of scans to 0..1; see
            :class:`~nclr_plugin.apis.scans.ScanChecker` for ``None``.

    Raises:
        FileNotFoundError: If a file does not exist.
        BrokenCheckpointError: If torch cannot read the file.
        CheckpointMismatchError: If the file holds another network.
        CalibrationInputError: If the checkpoint holds no config and none is given, or if the config
            belongs to another kind of network or another version of this package.

    Example:
        >>> calibrator = Calibrator('iter_30000.pth')              # doctest: +SKIP
        >>> result = calibrator(image, points, cam2img)            # doctest: +SKIP
        >>> result.lidar2cam if result.reliable else None          # doctest: +SKIP
    """

    def __init__(self,
                 checkpoint: str,
                 config: str | Config | None = None,
                 device: str | None = None,
                 min_consistency: float = MIN_CONSISTENCY,
                 min_edge_lead: float = MIN_EDGE_LEAD,
                 search: bool = True,
                 intensity_scale: float | None = None) -> None:
        content = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu')
        self.config = _find_config(content, str(checkpoint), config)
        try:
            self.device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        except RuntimeError as error:
            raise CalibrationInputError(f'device: {error}') from error
        scope = self.config.get('default_scope') or 'mmengine'
        with DefaultScope.overwrite_default_scope(scope):
            self.model = _build_model(self.config, str(checkpoint))
            if 'test_dataloader' not in self.config:
                raise CalibrationInputError(
                    'config: expected a test_dataloader with the pipeline of the images, found '
                    'none; take the config of the training.')
            steps = self.config.test_dataloader.dataset.pipeline
            self.pipeline = Compose([_with_whole_images(step) for step in steps
                                     if step['type'] not in DATASET_STEPS])
        weights = content.get('state_dict', content)
        check_state_dict(self.model, weights)
        self.model.load_state_dict(weights, strict=False)
        self.model.to(self.device).eval()
        self.min_consistency = min_consistency
        self.min_edge_lead = min_edge_lead
        self.search = search
        trained = (content.get('meta') or {}).get('dataset_meta') or {}
        self.check_scan = ScanChecker(intensity_scale, trained.get('intensity_scale'))

    def __call__(self,
                 image: np.ndarray | Sequence[np.ndarray],
                 points: np.ndarray,
                 cam2img: Any,
                 initial: Any = None) -> Calibration | list[Calibration]:
        """Find the pose of one camera, or of several cameras that share one scan.

        Args:
            image: RGB, (H, W, 3) uint8. The network processes a list of images together; this is
                for networks trained with several cameras per scan.
            points: (N, 3 or 4) x, y, z, intensity; metres, LiDAR frame (x forward, y left, z up),
                centred on the sensor. See :class:`~nclr_plugin.apis.scans.ScanChecker`.
            cam2img: (3, 3), or :class:`~nclr_plugin.apis.Intrinsics` to remove the distortion from
                the image, too. A list if ``image`` is a list.
            initial: (4, 4) rough ``lidar2cam``. It is needed if the LiDAR is not mounted upright:
                its rotation must turn the scan upright to within 15 deg, and the ground of the scan
                levels the rest. A pose rotated by more than 30 deg relative to it is not reliable.
                Its translation is only used to check that the camera sees the scan. A list if
                ``image`` is a list.

        Returns:
            The calibration; a list if ``image`` is a list.

        Raises:
            CalibrationInputError: If the input cannot be calibrated; see
                :mod:`~nclr_plugin.apis.scans` and :mod:`~nclr_plugin.apis.intrinsics`.
        """
        single = isinstance(image, np.ndarray) or not isinstance(image, (list, tuple))
        images, cam2imgs, initials = ([image], [cam2img], [initial]) if single else (
            image, () if cam2img is None else cam2img,
            [None] * len(image) if initial is None else initial)
        if not len(images) == len(cam2imgs) == len(initials) or not images:
            raise CalibrationInputError(
                'expected as many images, intrinsics and initial guesses, found '
                f'{len(images)}, {len(cam2imgs)} and {len(initials)}.')
        points = self.check_scan(points)
        names = ['image'] if single else [f'image {index}' for index in range(len(images))]
        cameras = [_check_camera(points, *given)
                   for given in zip(names, images, cam2imgs, initials)]
        upright = _upright_rotation(points, cameras[0].initial)
        results: list[Calibration | None] = [None] * len(cameras)
        for hypothesis in range(2):
            predictions, has_second = self._predict(points, cameras, upright, hypothesis)
            for index, (prediction, camera) in enumerate(zip(predictions, cameras)):
                if results[index] is None or not results[index].reliable:
                    result = self._calibrate(prediction, points, camera)
                    if results[index] is None or result.reliable:
                        results[index] = result
            if all(result.reliable for result in results) or not (self.search and has_second):
                break
        return results[0] if single else results

    @torch.no_grad()
    def _predict(self, points: np.ndarray, cameras: Sequence[_Camera], upright: np.ndarray,
                 hypothesis: int) -> tuple[list[_Prediction], bool]:
        """Run the network.

        Args:
            points: (N, 4), LiDAR frame as given.
            cameras: Cameras of the scan.
            upright: (3, 3) rotation that turns the scan upright.
            hypothesis: Rank of the viewing direction, 0 or 1.

        Returns:
            Prediction for each camera, and whether the second viewing direction is likely enough
            to be tried.
        """
        turned = points.copy()
        turned[:, :3] = points[:, :3] @ upright.T
        results = dict(
            frame_id='given', lidar_path='the given scan', points=turned,
            imgs=[camera.image for camera in cameras],
            cam2img=np.stack([camera.cam2img for camera in cameras]),
            images=[dict(name=str(index)) for index in range(len(cameras))],
            rng=np.random.default_rng(0))
        try:
            results = self.pipeline(results)
        except BrokenFrameError as error:
            raise CalibrationInputError(error.reason) from error
        sizes = {img.shape[1::-1] for img in results['imgs']}
        if len(sizes) > 1:
            raise CalibrationInputError(f'expected images of one size, found {sorted(sizes)}; add '
                                        'ResizeImages to the test pipeline of the config.')
        imgs = torch.from_numpy(np.stack(results['imgs'])).permute(0, 3, 1, 2).contiguous()
        sample = CalibrationDataSample()
        sample.cam2img = torch.from_numpy(results['cam2img'])
        inputs = dict(points=[torch.from_numpy(results['points'])], imgs=[imgs])
        if 'scan_centre' in results:
            inputs['scan_centre'] = [torch.from_numpy(results['scan_centre'])]
        batch = self.model.data_preprocessor(dict(inputs=inputs, data_samples=[sample]))
        sample, = self.model(**batch, mode='predict', hypothesis=hypothesis)
        probs = sample.get('pred_yaw_probs')
        has_second = probs is not None and bool((probs[:, 1] >= MIN_DIRECTION_PROB).any())
        return [_read_prediction(sample, index, cam2img, upright)
                for index, cam2img in enumerate(results['cam2img'])], has_second

    def _calibrate(self, prediction: _Prediction, points: np.ndarray,
                   camera: _Camera) -> Calibration:
        """Confirm or refine a predicted pose, and measure how well the matches fit it."""
        # The pipeline rescaled and cropped the image, and its intrinsics with it.
        pixels = _transform_pixels(
            camera.cam2img @ np.linalg.inv(prediction.cam2img), prediction.pixels)
        matches = Matches(prediction.points, pixels, prediction.scores,
                          inliers=np.zeros(len(pixels), bool))
        result = Calibration(
            lidar2cam=np.eye(4), valid=False, reliable=False, inlier_ratio=0.,
            photometric_consistency=0., edge_lead=0., reprojection_error=float('nan'),
            covariance=unknown_covariance(), matches=matches, cam2img=camera.cam2img,
            image=camera.image, scan=points, initial=camera.initial)
        if prediction.lidar2cam is None:
            return result
        intrinsics = Intrinsics(camera.cam2img, image_size=camera.image.shape[1::-1])
        pose = confirm_pose(Pair(camera.image, points, intrinsics), prediction.lidar2cam,
                            camera.initial, self.min_consistency, self.min_edge_lead, self.search)
        projected, depth = _project(prediction.points, pose.lidar2cam, prediction.cam2img)
        distance = np.linalg.norm(projected - prediction.pixels, axis=1)
        inliers = (depth > 0) & (distance < self.model.pose_head.inlier_threshold)
        result = result._replace(
            lidar2cam=pose.lidar2cam, valid=True, reliable=pose.reliable, refined=pose.refined,
            inlier_ratio=float(inliers.mean()) if pose.refined else prediction.inlier_ratio,
            photometric_consistency=pose.photometric_consistency, edge_lead=pose.edge_lead,
            matches=matches._replace(inliers=inliers))
        if inliers.sum() <= MIN_FOR_COVARIANCE:
            return result
        residual = pixels - _project(prediction.points, pose.lidar2cam, camera.cam2img)[0]
        return result._replace(
            reprojection_error=float(np.sqrt((residual[inliers]**2).sum(1).mean())),
            covariance=pose_covariance(prediction.points[inliers], pixels[inliers],
                                       pose.lidar2cam, camera.cam2img))


class _Camera(NamedTuple):
    """Checked input of one camera: undistorted image, intrinsics, guess (4, 4) or ``None``."""
    image: np.ndarray
    cam2img: np.ndarray
    initial: np.ndarray | None


class _Prediction(NamedTuple):
    """Prediction of the network for one camera.

    The pose (``None`` if there is none) and the points (K, 3) are in the LiDAR frame as given. The
    pixels (K, 2) and ``cam2img`` belong to the image that the network got.
    """
    lidar2cam: np.ndarray | None
    inlier_ratio: float
    points: np.ndarray
    pixels: np.ndarray
    scores: np.ndarray
    cam2img: np.ndarray


def calibrate(image: np.ndarray, points: np.ndarray, cam2img: Any,
              checkpoint: str | Calibrator, initial: Any = None,
              **options: Any) -> Calibration:
    """Find the pose of a camera from one image and one scan.

    Args:
        image, points, cam2img, initial: See :class:`Calibrator`.
        checkpoint: File, or a :class:`Calibrator`, to load the network once for several pairs.
        **options: Arguments of :class:`Calibrator`.
    """
    calibrator = checkpoint if isinstance(checkpoint, Calibrator) else Calibrator(
        checkpoint, **options)
    return calibrator(image, points, cam2img, initial)


def _find_config(content: dict, path: str, config: str | Config | None) -> Config:
    if isinstance(config, Config):
        return config
    if config is not None:
        return Config.fromfile(config)
    text = content.get('meta', {}).get('cfg')
    if not text:
        raise CalibrationInputError(f"checkpoint '{path}': expected the config of its training "
                                    'in it, found none; give its file (config).')
    values = parse_config(text)
    if values is None or 'model' not in values:
        raise CalibrationInputError(f"checkpoint '{path}': expected a config with 'model' in "
                                    'it, found other text; give its file (config).')
    return Config(values)


def _with_whole_images(step: dict) -> dict:
    """Replace ``VirtualCamera`` by a resize of the whole image; return other steps unchanged."""
    if step['type'] == 'VirtualCamera':
        return dict(type='ResizeImages', size=step['size'])
    return step


def _build_model(config: Config, path: str) -> CalibrationModel:
    try:
        model = MODELS.build(config.model)
    except (KeyError, TypeError) as error:
        raise CalibrationInputError(
            f"checkpoint '{path}': the network of its config cannot be built ({error}): it is of "
            'another version of this package, or of a package that is not installed; give a config '
            'that fits the weights (config).') from error
    if not isinstance(model, CalibrationModel):
        raise CalibrationInputError(
            f"checkpoint '{path}': expected a calibration network (NCLR, CrossI2P), found "
            f'{type(model).__name__}; take one of configs/nclr or configs/crossi2p.')
    return model


def _check_camera(points: np.ndarray, name: str, image: Any, cam2img: Any,
                  initial: Any) -> _Camera:
    """Check the input of one camera, and undistort its image."""
    intrinsics = make_intrinsics(*cam2img) if isinstance(
        cam2img, Intrinsics) else make_intrinsics(cam2img)
    check_image(image, intrinsics, name)
    image, cam2img = intrinsics.undistort(image), intrinsics.cam2img
    if initial is not None:
        try:
            initial = check_lidar2cam(initial, 'initial lidar2cam')
        except ValueError as error:
            raise CalibrationInputError(str(error)) from error
        check_in_front(points, initial, cam2img, *image.shape[:2])
        check_pose(points, initial, cam2img, image.shape[1::-1], 'initial guess')
    return _Camera(image, cam2img, initial)


def _upright_rotation(points: np.ndarray, initial: np.ndarray | None) -> np.ndarray:
    """Return the rotation (3, 3) that turns a scan upright, given a guess of ``lidar2cam``.

    The x axis of the turned scan points along the optical axis of the guess, up to the levelling of
    the ground. Without a guess, the rotation is the identity.
    """
    if initial is None:
        return np.eye(3)
    upright = LIDAR_TO_CAMERA_AXES.T @ initial[:3, :3]
    # Networks are trained on level scans, and a rough guess leaves a few degrees of tilt.
    level = level_rotation(points[:, :3] @ upright.T)
    return upright if level is None else level @ upright


def _read_prediction(sample: CalibrationDataSample, index: int, cam2img: np.ndarray,
                     upright: np.ndarray) -> _Prediction:
    """Read the prediction for one view, transformed back to the LiDAR frame as given."""
    lidar2cam = None
    if sample.pred_valid[index]:
        lidar2cam = _array(sample.pred_lidar2cam[index]).copy()
        lidar2cam[:3, :3] = lidar2cam[:3, :3] @ upright
    matches = sample.pred_matches[index]
    return _Prediction(lidar2cam, float(sample.pred_inlier_ratio[index]),
                       _array(matches.points) @ upright, _array(matches.pixels),
                       _array(matches.scores), cam2img)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


def _transform_pixels(matrix: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return pixels @ matrix[:2, :2].T + matrix[:2, 2]


def _project(points: np.ndarray, lidar2cam: np.ndarray,
             cam2img: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (K, 2) and depths (K,)."""
    pixels, depth = project_points(*map(torch.from_numpy, (points, lidar2cam, cam2img)))
    return pixels.numpy(), depth.numpy()
