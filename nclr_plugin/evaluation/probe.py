"""Probe frozen point features for classes: linear and nearest-neighbour classification."""
from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Any, Iterator, NamedTuple, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import set_random_seed
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import import_modules_from_strings
from torch import Tensor
from torch.nn import functional as F

from ..checkpoints.loading import check_state_dict
from ..datasets.scan_files import read_columns
from ..datasets.segmentation.infos import read_infos
from ..datasets.segmentation.labels import check_labels
from ..errors import DataLayoutError
from ..models.layers.voxelization import voxelize

LIDAR_DIM = 4
MAX_ITER = 100  # of L-BFGS
OFFSET = 2**16  # a label of SemanticKITTI's files is the class, plus this times the instance


class LabelMap(NamedTuple):
    """Classes of a data set.

    Attributes:
        classes: Their names.
        raw: Index of the class by raw label; other raw labels are no class.
    """
    classes: tuple[str, ...]
    raw: dict[int, int]


SEMANTICKITTI = LabelMap(
    ('car', 'bicycle', 'motorcycle', 'truck', 'other-vehicle', 'person', 'bicyclist',
     'motorcyclist', 'road', 'parking', 'sidewalk', 'other-ground', 'building', 'fence',
     'vegetation', 'trunk', 'terrain', 'pole', 'traffic-sign'),
    {10: 0, 11: 1, 13: 4, 15: 2, 16: 4, 18: 3, 20: 4, 30: 5, 31: 6, 32: 7, 40: 8, 44: 9, 48: 10,
     49: 11, 50: 12, 51: 13, 60: 8, 70: 14, 71: 15, 72: 16, 80: 17, 81: 18, 252: 0, 253: 6, 254: 5,
     255: 7, 256: 4, 257: 4, 258: 3, 259: 4})
KITTI_BOXES = LabelMap(
    ('car', 'van / truck', 'pedestrian', 'cyclist', 'other'), {1: 0, 2: 1, 3: 2, 4: 3, 5: 4})
LABEL_MAPS = dict(semantickitti=SEMANTICKITTI, kitti_boxes=KITTI_BOXES)


def build_pretrainer(config: str, checkpoint: str | None = None, seed: int = 0,
                     options: dict | None = None) -> Any:
    """Build the network of a pretraining config.

    Args:
        config: Config file.
        checkpoint: Checkpoint of this network. ``None`` initialises the point backbone at random,
            but not the image branch, whose weights might be downloaded.
        seed: Seed of the initialisation.
        options: Overrides of the config, by dotted key.

    Returns:
        The network in evaluation mode.

    Raises:
        FileNotFoundError: If a file does not exist.
        CheckpointMismatchError: If the checkpoint belongs to another network.
    """
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options or {})
    import_modules_from_strings(**cfg.get('custom_imports', dict(imports=[])))
    set_random_seed(seed)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        model = MODELS.build(cfg.model)
    if checkpoint is None:
        model.point_backbone.init_weights()
    else:
        content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
        state = content.get('state_dict', content)
        check_state_dict(model, state)
        model.load_state_dict(state, strict=False)
    return model.eval()


class Probe:
    """Classify voxels by the frozen features of a point backbone.

    Features are those that a downstream network gets: encoded and decoded without fusion. They are
    standardised by the training scans. The linear classifier is a logistic regression, solved to
    convergence; the other classifier is a vote of the nearest training voxels by cosine. Both use
    the same voxels.

    Args:
        data_root: Folder of the info files.
        dataset: ``'semantickitti'`` or ``'kitti_boxes'``; see ``tools/create_infos.py``.
        train: Info file of the training scans.
        val: Info file of the scans that are classified.
        num_scans: Largest number of scans of each, evenly spaced; ``None``: all.
        point_cloud_range: Box of the points, as in pretraining.
        voxels_per_class: Largest number of voxels of a class in a training scan.
        voxels_per_scan: Largest number of voxels of a scan that are classified, a random
            subset.
        neighbours: Number of voting neighbours.
        weight_decay: Weight decay of the logistic regression.
        seed: Seed of the sampling of voxels.
        voxel_value: ``'mean'`` of the points of a voxel, as in pretraining, or the ``'first'``
            point, as in mmdet3d's segmentors.

    Raises:
        ValueError: If ``dataset`` or ``voxel_value`` is unknown, or a number is below 1.
        FileNotFoundError: If an info file, a scan or a label file is absent.
        DataLayoutError: If the labels do not fit, no point of a scan is in the range, the training
            scans have fewer than two classes, or the validation scans no label.
    """

    def __init__(self,
                 data_root: str,
                 dataset: str,
                 train: str,
                 val: str,
                 num_scans: int | None = 10,
                 point_cloud_range: Sequence[float] = (-51.2, -51.2, -3, 51.2, 51.2, 5),
                 voxels_per_class: int = 200,
                 voxels_per_scan: int = 4000,
                 neighbours: int = 20,
                 weight_decay: float = 1e-4,
                 seed: int = 0,
                 voxel_value: str = 'mean') -> None:
        if dataset not in LABEL_MAPS or voxel_value not in ('mean', 'first'):
            raise ValueError(f'Probe: expected dataset of {list(LABEL_MAPS)} and voxel_value of '
                             f"['mean', 'first'], found '{dataset}' and '{voxel_value}'.")
        if num_scans is not None and num_scans < 1 or neighbours < 1:
            raise ValueError('Probe: expected num_scans and neighbours of at least 1, found '
                             f'{num_scans} and {neighbours}.')
        self.dataset = dataset
        self.label_map = LABEL_MAPS[dataset]
        self.limits = np.asarray(point_cloud_range, np.float32).reshape(2, 3)
        self.voxels_per_class = voxels_per_class
        self.voxels_per_scan = voxels_per_scan
        self.neighbours = neighbours
        self.weight_decay = weight_decay
        self.seed = seed
        self.voxel_value = voxel_value
        self.files = {part: _files(data_root, infos, num_scans)
                      for part, infos in (('train', train), ('val', val))}
        for files in self.files.values():
            check_labels(files, LIDAR_DIM, 'uint32')

    @torch.no_grad()
    def __call__(self, model: Any) -> dict[str, float]:
        """Probe the point backbone of a calibration network.

        Args:
            model: Network with ``point_backbone`` and ``data_preprocessor``. Its mode, its
                statistics and torch's random numbers are left as they are.

        Returns:
            ``linear_miou``, ``linear_macc``, ``knn_miou`` and ``knn_macc``, percent: the mean over
            the classes of the scans that are classified, of the intersection over union and of the
            recall.
        """
        with _evaluating(model.point_backbone):
            train, train_labels = self._collect(model, 'train')
            val, val_labels = self._collect(model, 'val')
        if not len(val_labels):
            raise DataLayoutError(f"probe of '{self.dataset}': expected labels in the validation "
                                  'scans, found none; take other scans, or more.')
        if len(train_labels.unique()) < 2:
            raise DataLayoutError(
                f"probe of '{self.dataset}': expected training scans of at least two classes, "
                f'found {len(train_labels.unique())}; take other scans, or more.')
        mean, std = train.mean(0), train.std(0).clamp(min=1e-6)
        train, val = (train - mean) / std, (val - mean) / std
        num_classes = len(self.label_map.classes)
        predictions = dict(
            linear=logistic_regression(train, train_labels, val, num_classes, self.weight_decay),
            knn=knn_classification(train, train_labels, val, num_classes, self.neighbours))
        results = {}
        for name, predicted in predictions.items():
            iou, recall = scores(predicted, val_labels, num_classes)
            results[f'{name}_miou'], results[f'{name}_macc'] = iou, recall
        return results

    def _collect(self, model: Any, part: str) -> tuple[Tensor, Tensor]:
        """Return the features (M, C) and classes (M,) of the voxels of all scans."""
        rng = np.random.default_rng(self.seed)
        feats, labels = [], []
        for scan, label in self.files[part]:
            voxel_feats, classes = self._voxels(model, scan, label)
            idx = np.flatnonzero(classes >= 0)
            if part == 'train':
                idx = np.concatenate([
                    _some(np.flatnonzero(classes == index), self.voxels_per_class, rng)
                    for index in range(len(self.label_map.classes))])
            else:
                idx = _some(idx, self.voxels_per_scan, rng)
            feats.append(voxel_feats[torch.from_numpy(idx).to(voxel_feats.device)].float())
            labels.append(torch.from_numpy(classes[idx]).to(voxel_feats.device))
        return torch.cat(feats), torch.cat(labels)

    def _voxels(self, model: Any, scan: str, label: str) -> tuple[Tensor, np.ndarray]:
        """Return the features (M, C) of the voxels of a scan, and their classes, -1 for none."""
        points = read_columns(scan, LIDAR_DIM)
        raw = np.fromfile(label, np.uint32) % OFFSET
        inside = ((points[:, :3] >= self.limits[0]) & (points[:, :3] < self.limits[1])).all(1)
        inside &= np.isfinite(points).all(1)
        if not inside.any():
            raise DataLayoutError(
                f"probe: scan '{scan}': expected points in {self.limits.tolist()} m, found none of "
                f'its {len(points)}; set point_cloud_range.')
        points, raw = points[inside], raw[inside]
        preprocessor = model.data_preprocessor
        packed = torch.from_numpy(points).to(preprocessor.device)
        voxels = voxelize([packed], preprocessor.voxel_size)
        feats = voxels.feats
        if self.voxel_value == 'first':
            order = torch.arange(len(packed) - 1, -1, -1, device=packed.device)
            first = order.new_zeros(len(feats)).scatter_(0, voxels.point2voxel[order], order)
            feats = packed[first].clone()
            feats[:, :3] -= voxels.centre[0]
        levels = model.point_backbone.encode(feats, voxels.coors)
        decoded = model.point_backbone.decode(levels, levels[-1].features)

        table = np.full(OFFSET, -1)
        for number, index in self.label_map.raw.items():
            table[number] = index
        classes, num_classes = table[raw], len(self.label_map.classes)
        rows = voxels.point2voxel.cpu().numpy()
        counts = np.zeros((len(decoded), num_classes), np.int64)
        known = classes >= 0
        np.add.at(counts, (rows[known], classes[known]), 1)
        return decoded, np.where(counts.any(1), counts.argmax(1), -1)


def logistic_regression(train: Tensor, labels: Tensor, val: Tensor, num_classes: int,
                        weight_decay: float) -> Tensor:
    """Classify by multinomial logistic regression.

    Args:
        train: (N, C).
        labels: (N,).
        val: (M, C).
        num_classes: K.
        weight_decay: Half of it times the squared weights is added to the loss.

    Returns:
        (M,) classes.
    """
    weight = train.new_zeros(num_classes, train.shape[1] + 1, requires_grad=True)
    extended = F.pad(train, (0, 1), value=1.)
    optimizer = torch.optim.LBFGS([weight], max_iter=MAX_ITER, line_search_fn='strong_wolfe')

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(extended @ weight.t(), labels) \
            + weight_decay / 2 * weight[:, :-1].square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return (F.pad(val, (0, 1), value=1.) @ weight.detach().t()).argmax(1)


def knn_classification(train: Tensor, labels: Tensor, val: Tensor, num_classes: int,
                       neighbours: int, chunk: int = 2048) -> Tensor:
    """Classify by the votes of the nearest rows by cosine, each weighted by it.

    Args:
        train, labels, val, num_classes: See :func:`logistic_regression`.
        neighbours: Number of voters.
        chunk: Number of rows at a time.

    Returns:
        (M,) classes.
    """
    train, votes = F.normalize(train, dim=1), F.one_hot(labels, num_classes).to(train)
    predicted = []
    for rows in F.normalize(val, dim=1).split(chunk):
        cosine, idx = (rows @ train.t()).topk(min(neighbours, len(train)), dim=1)
        predicted.append((votes[idx] * cosine.clamp(min=0)[..., None]).sum(1).argmax(1))
    return torch.cat(predicted)


def scores(predicted: Tensor, labels: Tensor, num_classes: int) -> tuple[float, float]:
    """Return mean IoU and mean recall, percent, over the classes that ``labels`` has."""
    confusion = torch.bincount(labels * num_classes + predicted,
                               minlength=num_classes**2).view(num_classes, num_classes).double()
    hits, num_true, num_predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    present = num_true > 0
    iou = hits[present] / (num_true + num_predicted - hits)[present]
    return 100 * float(iou.mean()), 100 * float((hits / num_true)[present].mean())


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Set evaluation mode; restore the mode and the random state afterwards."""
    training, state = module.training, torch.get_rng_state()
    module.eval()
    try:
        yield
    finally:
        module.train(training)
        torch.set_rng_state(state)


def _some(idx: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.choice(idx, count, replace=False)) if len(idx) > count else idx


def _files(root: str, infos: str, num_scans: int | None) -> list[tuple[str, str]]:
    """Return scan and label file of evenly spaced frames of an info file."""
    frames = read_infos(os.path.join(root, infos))['data_list']
    if num_scans is not None and num_scans < len(frames):
        frames = [frames[index * len(frames) // num_scans] for index in range(num_scans)]
    return [(os.path.join(root, frame['lidar_points']['lidar_path']),
             os.path.join(root, frame['pts_semantic_mask_path'])) for frame in frames]
