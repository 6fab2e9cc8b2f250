"""Load the camera images of scans from mmdet3d's data sets, which load the scan only."""
from __future__ import annotations

from pathlib import Path, PurePath

from .readers import KittiObjectReader, KittiOdometryReader
from .transforms import LoadImages


def scan_name(lidar_path: str) -> str:
    """Return ``XX_NNNNNN`` for ``sequences/XX/velodyne/NNNNNN.bin``, else the stem of the file."""
    path = PurePath(lidar_path)
    stem = path.name.split('.')[0]
    return f'{path.parts[-3]}_{stem}' if _is_odometry(path) else stem


def load_scan_images(metainfo: dict) -> list[dict]:
    """Load the images and the calibration of a scan's cameras, if there are any.

    Args:
        metainfo: Metainfo of mmdet3d's data sample: ``lidar_path``, and for nuScenes ``img_path``,
            ``lidar2cam`` and ``cam2img``, lists with an entry per camera.

    Returns:
        For each camera a dict of ``name``, ``image`` (H, W, 3) uint8 RGB, ``lidar2cam`` (4, 4) and
        ``cam2img`` (3, 3).
    """
    path = PurePath(metainfo['lidar_path'])
    try:
        if _is_odometry(path):
            reader = KittiOdometryReader([path.parts[-3]],
                                         frame_list=[f'{path.parts[-3]}/{path.stem}'])
            images = reader.read(str(path.parents[3]))[0]['images']
        elif path.parent.name.startswith('velodyne'):  # KITTI object, also the reduced scans
            reader = KittiObjectReader(path.parts[-3], frame_list=[path.stem])
            images = reader.read(str(path.parents[2]))[0]['images']
        else:
            images = _nuscenes_images(path, metainfo)
    except FileNotFoundError:
        return []
    if not images:
        return []
    loaded = LoadImages().transform(dict(frame_id=str(path), images=images))
    return [dict(name=image['name'], image=pixels, lidar2cam=lidar2cam, cam2img=cam2img)
            for image, pixels, lidar2cam, cam2img in zip(images, loaded['imgs'],
                                                         loaded['lidar2cam'], loaded['cam2img'])]


def _is_odometry(path: PurePath) -> bool:
    return path.parent.name == 'velodyne' and path.parents[2].name == 'sequences'


def _nuscenes_images(path: PurePath, metainfo: dict) -> list[dict]:
    images = []
    for name, lidar2cam, cam2img in zip(metainfo.get('img_path', ()),
                                        metainfo.get('lidar2cam', ()),
                                        metainfo.get('cam2img', ())):
        camera = PurePath(name).name.split('__')[1]  # LOG__CAMERA__TIME.jpg
        image = Path(path.parents[1]) / camera / PurePath(name).name
        if image.is_file():
            images.append(dict(name=camera, img_path=str(image), lidar2cam=lidar2cam,
                               cam2img=cam2img))
    return images
