"""Pictures of panoptic predictions, during validation and testing."""
from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any, List

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...datasets.readers import KittiOdometryReader
from ...datasets.transforms import LoadImages
from ...visualization.panoptic_map import (Panoptic, Vocabulary, draw_panoptic_birds_eye,
                                           draw_panoptic_image)
from .picture_hook import write_png


@HOOKS.register_module()
class PanopticPictureHook(Hook):
    """Draw the classes and instances of scans, predicted beside true.

    From above, and on the images of the scan's cameras where they are: ``image_2`` and
    ``calib.txt`` beside SemanticKITTI's ``velodyne``, or the cameras of nuScenes' infos. The
    pictures are ``birds_eye/<scan>.png`` and ``camera/<scan>_<camera>.png``.

    Args:
        out_dir: Folder for the PNG files; made if it does not exist.
        max_frames: Scans to draw of each pass over the test or validation set, by each process.

    Raises:
        OSError: When a picture cannot be written.
    """

    def __init__(self, out_dir: str, max_frames: int = 20) -> None:
        self.out_dir = Path(out_dir)
        self.max_frames = max_frames
        self._drawn = 0

    def _before_epoch(self, runner: Any, mode: str = 'train') -> None:
        self._drawn = 0

    def _after_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                    outputs: Any = None, mode: str = 'train') -> None:
        if mode != 'train':
            loader = runner.val_dataloader if mode == 'val' else runner.test_dataloader
            self._draw_batch(runner, loader.dataset, data_batch, outputs)

    def _draw_batch(self, runner: Any, dataset: Any, data_batch: Any, outputs: Any) -> None:
        model = getattr(runner.model, 'module', runner.model)
        vocabulary = Vocabulary(dataset.metainfo['classes'],
                                np.array(dataset.metainfo['palette'], np.uint8),
                                model.offset_head.thing_classes)
        for points, sample in zip(data_batch['inputs']['points'], outputs):
            if self._drawn >= self.max_frames:
                return
            self._drawn += 1
            found = sample.pred_pts_seg
            predicted = Panoptic(found.pts_semantic_mask.cpu().numpy(),
                                 found.pts_instance_mask.cpu().numpy())
            truth = sample.eval_ann_info or {}
            true = None
            if 'pts_instance_mask' in truth:
                true = Panoptic(truth['pts_semantic_mask'], truth['pts_instance_mask'])
            name = scan_name(sample.lidar_path)
            picture = draw_panoptic_birds_eye(points, predicted, true, vocabulary)
            write_png(self.out_dir / 'birds_eye' / f'{name}.png', picture)
            for view in load_views(sample.metainfo):
                picture = draw_panoptic_image(view['image'], view['lidar2cam'], view['cam2img'],
                                              points, predicted, true, vocabulary)
                write_png(self.out_dir / 'camera' / f"{name}_{view['name']}.png", picture)


def scan_name(lidar_path: str) -> str:
    """``XX_NNNNNN`` of ``.../XX/velodyne/NNNNNN.bin``, the file's name elsewhere."""
    path = PurePath(lidar_path)
    stem = path.name.split('.')[0]
    return f'{path.parts[-3]}_{stem}' if path.parent.name == 'velodyne' else stem


def load_views(metainfo: dict) -> List[dict]:
    """Images of a scan's cameras and their calibration; none where there is no image.

    Args:
        metainfo: Of mmdet3d's data sample: ``lidar_path``, and for nuScenes ``img_path``,
            ``lidar2cam`` and ``cam2img``, lists with an entry for each camera.

    Returns:
        ``name``, ``image`` (H, W, 3) uint8 RGB, ``lidar2cam`` (4, 4) and ``cam2img`` (3, 3) of
        each camera.
    """
    path = PurePath(metainfo['lidar_path'])
    if path.parent.name == 'velodyne':
        frame = f'{path.parts[-3]}/{path.stem}'
        reader = KittiOdometryReader(sequences=[path.parts[-3]], frame_list=[frame])
        try:
            images = reader.read(str(path.parents[3]))[0]['images']
        except FileNotFoundError:
            return []
    else:
        images = []
        for name, lidar2cam, cam2img in zip(metainfo.get('img_path', ()),
                                            metainfo.get('lidar2cam', ()),
                                            metainfo.get('cam2img', ())):
            camera = PurePath(name).name.split('__')[1]  # LOG__CAMERA__TIME.jpg
            image = Path(path.parents[1]) / camera / PurePath(name).name
            if image.is_file():
                images.append(dict(name=camera, img_path=str(image), lidar2cam=lidar2cam,
                                   cam2img=cam2img))
    if not images:
        return []
    loaded = LoadImages().transform(dict(frame_id=str(path), images=images))
    return [dict(name=image['name'], image=pixels, lidar2cam=torch.as_tensor(lidar2cam),
                 cam2img=torch.as_tensor(cam2img))
            for image, pixels, lidar2cam, cam2img in zip(images, loaded['imgs'],
                                                         loaded['lidar2cam'], loaded['cam2img'])]
