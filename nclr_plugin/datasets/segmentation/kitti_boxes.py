"""Point labels of KITTI object frames from 3D boxes."""
from __future__ import annotations

import os
from typing import NamedTuple, Sequence

import numpy as np

from ...errors import BrokenFrameError, DataLayoutError, ScanError
from ...geometry.camera import in_view, project_points
from ...geometry.se3 import transform_points
from ..images import read_image
from ..label_fractions import LabelSplit, select_randomly
from ..readers.calibration import kitti_lidar2ref, read_kitti_calibration
from ..readers.kitti import LIDAR_DIM, KittiObjectReader
from ..readers.base import require_file
from ..scan_files import read_columns
from .infos import draw_split, write_fractions, write_infos

KITTI_BOXES = 'kitti_boxes'
UNLABELLED = 0
# Raw label of each kind of box. Points outside all boxes are `other`.
LABELS = {'Car': 1, 'Van': 2, 'Truck': 2, 'Pedestrian': 3, 'Person_sitting': 3, 'Cyclist': 4,
          'Misc': 5, 'Tram': 5}
OTHER, DONT_CARE = 5, 'DontCare'
COLUMNS = 15  # kind, truncation, occlusion, angle, box in the image (4), h, w, l, x, y, z, yaw


class KittiBox(NamedTuple):
    """A line of KITTI's labels.

    Attributes:
        kind: Class of the object.
        image: (4,) left, top, right, bottom, pixels.
        size: (3,) height, width, length, metres.
        bottom: (3,) centre of the bottom in the rectified reference camera, metres.
        yaw: Rotation about the y axis of the camera, radians.
    """
    kind: str
    image: np.ndarray
    size: np.ndarray
    bottom: np.ndarray
    yaw: float


def read_boxes(path: str) -> list[KittiBox]:
    """Read a label file of KITTI's object data.

    Raises:
        FileNotFoundError: If the file is absent.
        DataLayoutError: If a line has another format.
    """
    require_file(path, 'Expected the boxes of the frame.')
    boxes = []
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if not words:
                continue
            try:
                values = np.array(words[1:COLUMNS], np.float64)
                known = words[0] in LABELS or words[0] == DONT_CARE
            except ValueError:
                known = False
            if not known or len(words) < COLUMNS:
                raise DataLayoutError(
                    f"label file '{path}', line {number}: expected one of {[*LABELS, DONT_CARE]} "
                    f"and {COLUMNS - 1} numbers, found '{line.strip()}'; give KITTI's object "
                    'labels.')
            boxes.append(KittiBox(words[0], values[3:7], values[7:10], values[10:13], values[13]))
    return boxes


def label_points(points: np.ndarray, boxes: Sequence[KittiBox], lidar2ref: np.ndarray,
                 camera: dict[str, np.ndarray], image_size: tuple[int, int]) -> np.ndarray:
    """Label the points of a scan by the boxes that contain them.

    Boxes are annotated in the view of the camera only, so points outside it are unlabelled, and so
    are points outside all boxes whose pixels are in a ``DontCare`` area. Other points outside all
    boxes are ``other``. Where boxes intersect, the smallest counts.

    Args:
        points: (N, 3+), LiDAR frame, metres.
        boxes: Boxes of the frame.
        lidar2ref: (4, 4) transform from the LiDAR to the rectified reference camera.
        camera: ``cam2img`` (3, 3) and ``lidar2cam`` (4, 4) of the camera of the labels.
        image_size: Width and height, pixels.

    Returns:
        (N,) uint32 raw labels, see :data:`LABELS`.
    """
    xyz = points[:, :3].astype(np.float64)
    pixels, depth = project_points(xyz, camera['lidar2cam'], camera['cam2img'])
    width, height = image_size
    labels = np.full(len(points), OTHER, np.uint32)
    for box in boxes:
        if box.kind == DONT_CARE:
            inside = (pixels >= box.image[:2]).all(1) & (pixels <= box.image[2:]).all(1)
            labels[inside] = UNLABELLED
    in_ref = transform_points(lidar2ref, xyz)
    solid = [box for box in boxes if box.kind != DONT_CARE]
    for box in sorted(solid, key=lambda box: -np.prod(box.size)):
        x, y, z = (in_ref - box.bottom).T
        cos, sin = np.cos(box.yaw), np.sin(box.yaw)
        along, across = cos * x - sin * z, sin * x + cos * z
        box_height, box_width, length = box.size
        inside = ((np.abs(along) <= length / 2) & (np.abs(across) <= box_width / 2)
                  & (y <= 0) & (y >= -box_height))
        labels[inside] = LABELS[box.kind]
    labels[~in_view(pixels, depth, height, width)] = UNLABELLED
    return labels


def create_kitti_boxes(root: str, fractions: Sequence[float] | None = None, seed: int = 0,
                       split_file: str | None = None) -> None:
    """Write point labels, and infos of the frames of ``ImageSets`` and of label fractions.

    Labels are written to ``training/labels/NNNNNN.label``, uint32 as in SemanticKITTI.

    Args:
        root: KITTI object root: ``training/{velodyne,image_2,calib,label_2}`` and
            ``ImageSets/{train,val}.txt``.
        fractions: Percentages of the training frames; ``None``: 10.
        seed: Random seed of the fractions.
        split_file: Label split to use instead of a new selection.

    Raises:
        FileNotFoundError: If a folder, a list or a file of a frame is absent.
        DataLayoutError: If a label file, a calibration or a fraction is invalid.
    """
    os.makedirs(os.path.join(root, 'training', 'labels'), exist_ok=True)
    infos = {}
    for part in ('train', 'val'):
        try:
            frames = KittiObjectReader(frame_list=f'ImageSets/{part}.txt').read(root)
        except ValueError as error:
            raise DataLayoutError(str(error)) from error
        counts = sum(np.bincount(_label_frame(root, frame), minlength=OTHER + 1)
                     for frame in frames)
        infos[part] = [
            dict(sample_idx=frame['frame_id'],
                 lidar_points=dict(lidar_path=os.path.relpath(frame['lidar_path'], root),
                                   num_pts_feats=LIDAR_DIM),
                 pts_semantic_mask_path=_label_path(frame['frame_id']))
            for frame in frames]
        path = os.path.join(root, f'{KITTI_BOXES}_infos_{part}.pkl')
        write_infos(path, infos[part], dict(dataset=KITTI_BOXES))
        print(f'{path}: {len(frames)} frames; points of the raw labels 0 to {OTHER}: '
              f'{counts.tolist()}')
    ids = [info['sample_idx'] for info in infos['train']]
    if split_file:
        split = LabelSplit.load(split_file, KITTI_BOXES)
    else:
        split = draw_split(KITTI_BOXES, root, f'random, seed {seed}', fractions or (10, ),
                           lambda percent: select_randomly(ids, percent, seed))
    write_fractions(KITTI_BOXES, root, split, fractions, infos['train'],
                    dict(dataset=KITTI_BOXES), lambda info: info['sample_idx'])


def _label_path(frame_id: str) -> str:
    return os.path.join('training', 'labels', f'{frame_id}.label')


def _label_frame(root: str, frame: dict) -> np.ndarray:
    """Write the labels of a frame of :class:`KittiObjectReader`, and return them."""
    name = f"{frame['frame_id']}.txt"
    calib = os.path.join(root, 'training', 'calib', name)
    image, = frame['images']
    try:
        points = read_columns(frame['lidar_path'], LIDAR_DIM)
        height, width = read_image(frame['frame_id'], image).shape[:2]
    except (ScanError, BrokenFrameError) as error:
        raise DataLayoutError(str(error)) from error
    labels = label_points(
        points, read_boxes(os.path.join(root, 'training', 'label_2', name)),
        kitti_lidar2ref(read_kitti_calibration(calib), calib), image, (width, height))
    labels.tofile(os.path.join(root, _label_path(frame['frame_id'])))
    return labels
