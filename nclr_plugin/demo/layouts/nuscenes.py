"""nuScenes v1.0-mini: tables, ``samples``, ``lidarseg``, ``panoptic``, and mmdet3d's infos."""
from __future__ import annotations

import hashlib
import json
import os
import pickle
from typing import Any, NamedTuple

import numpy as np

from ..frame import CameraMount, Frame, Split, town_rng, visibility
from ..primitives import Label, yaw_matrix
from ..scene import Object
from .base import DemoOptions, Job, Layout, write_image
from .kitti import LIDAR_TO_CAMERA_AXES, homogeneous, small_rotation

VERSION = 'v1.0-mini'
SCENE_NAMES = {
    Split.TRAIN: ('scene-0061', 'scene-0553', 'scene-0655', 'scene-0757', 'scene-0796',
                  'scene-1077', 'scene-1094', 'scene-1100'),
    Split.VAL: ('scene-0103', 'scene-0916'),
}
LIDAR = 'LIDAR_TOP'
CAMERAS = {  # position in the ego frame, metres; heading, degrees; focal length at 1600 pixels
    'CAM_FRONT': ((1.70, 0.02, 1.51), 0.0, 1266.0),
    'CAM_FRONT_RIGHT': ((1.55, -0.49, 1.50), -56.0, 1261.0),
    'CAM_FRONT_LEFT': ((1.52, 0.49, 1.51), 55.0, 1273.0),
    'CAM_BACK': ((0.03, 0.00, 1.58), 180.0, 809.0),
    'CAM_BACK_LEFT': ((1.04, 0.48, 1.59), 108.0, 1257.0),
    'CAM_BACK_RIGHT': ((1.01, -0.48, 1.56), -110.0, 1260.0),
}
LIDAR_TO_EGO = homogeneous(np.column_stack([yaw_matrix(-np.pi / 2), [0.94, 0.0, 1.84]]))
CATEGORIES = (  # in the order of their lidarseg index
    'noise', 'animal', 'human.pedestrian.adult', 'human.pedestrian.child',
    'human.pedestrian.construction_worker', 'human.pedestrian.personal_mobility',
    'human.pedestrian.police_officer', 'human.pedestrian.stroller', 'human.pedestrian.wheelchair',
    'movable_object.barrier', 'movable_object.debris', 'movable_object.pushable_pullable',
    'movable_object.trafficcone', 'static_object.bicycle_rack', 'vehicle.bicycle',
    'vehicle.bus.bendy', 'vehicle.bus.rigid', 'vehicle.car', 'vehicle.construction',
    'vehicle.emergency.ambulance', 'vehicle.emergency.police', 'vehicle.motorcycle',
    'vehicle.trailer', 'vehicle.truck', 'flat.driveable_surface', 'flat.other', 'flat.sidewalk',
    'flat.terrain', 'static.manmade', 'static.other', 'static.vegetation', 'vehicle.ego')
CATEGORY_OF_LABEL = {
    Label.CAR: 'vehicle.car',
    Label.TRUCK: 'vehicle.truck',
    Label.BUS: 'vehicle.bus.rigid',
    Label.PERSON: 'human.pedestrian.adult',
    Label.BICYCLIST: 'vehicle.bicycle',
    Label.BICYCLE: 'vehicle.bicycle',
    Label.ROAD: 'flat.driveable_surface',
    Label.LANE_MARKING: 'flat.driveable_surface',
    Label.PARKING: 'flat.driveable_surface',
    Label.SIDEWALK: 'flat.sidewalk',
    Label.TERRAIN: 'flat.terrain',
    Label.BUILDING: 'static.manmade',
    Label.FENCE: 'static.manmade',
    Label.OTHER_STRUCTURE: 'static.manmade',
    Label.POLE: 'static.manmade',
    Label.TRAFFIC_SIGN: 'static.manmade',
    Label.OTHER_OBJECT: 'static.manmade',
    Label.VEGETATION: 'static.vegetation',
    Label.TRUNK: 'static.vegetation',
}
DETECTION_CLASSES = ('car', 'truck', 'trailer', 'bus', 'construction_vehicle', 'bicycle',
                     'motorcycle', 'pedestrian', 'traffic_cone', 'barrier')
DETECTION_OF_CATEGORY = {
    'vehicle.car': 'car',
    'vehicle.truck': 'truck',
    'vehicle.bus.rigid': 'bus',
    'human.pedestrian.adult': 'pedestrian',
    'vehicle.bicycle': 'bicycle',
}
ATTRIBUTES = ('vehicle.moving', 'vehicle.parked', 'pedestrian.moving', 'pedestrian.standing',
              'cycle.with_rider', 'cycle.without_rider')
VISIBILITY_LEVELS = ('v0-40', 'v40-60', 'v60-80', 'v80-100')
START = 1_500_000_000_000_000  # first timestamp, microseconds; samples are 0.5 s apart
SCENE_DISTANCE = 1000.0  # distance between the samples of a town, global frame, metres


class Annotation(NamedTuple):
    """A labelled road user of a sample.

    Attributes:
        thing: The road user.
        box: (7,) box in the LiDAR frame.
        num_points: Number of LiDAR returns.
        share: Largest visible share in any camera.
    """
    thing: Object
    box: np.ndarray
    num_points: int
    share: float


class Sample(NamedTuple):
    """Pose and annotations of a frame, for the tables."""
    ego2global: np.ndarray
    annotations: list[Annotation]


class NuScenesLayout(Layout):
    """nuScenes v1.0-mini: each town is a scene of the mini split, two for validation.

    The samples of a scene are unrelated places of a town, not a drive. There are no sweeps, and
    each object has one annotation.

    Raises:
        ValueError: If there are more training towns than training scenes in the mini split.
    """
    image_size = (1600, 900)
    beams = 32
    azimuths = 1084
    sensor_height = 1.84

    def __init__(self, root: str, options: DemoOptions) -> None:
        super().__init__(root, options)
        if options.towns > len(SCENE_NAMES[Split.TRAIN]):
            raise ValueError(f'towns: expected at most {len(SCENE_NAMES[Split.TRAIN])}, one for '
                             f'each training scene of {VERSION}, found {options.towns}.')

    def jobs(self) -> list[Job]:
        """List the frames to generate; validation frames alternate between two towns."""
        towns = len(SCENE_NAMES[Split.VAL])
        return [
            job if job.split == Split.TRAIN else job._replace(town=job.index % towns)
            for job in super().jobs()
        ]

    def mounts(self, job):
        """Return the six cameras and the LiDAR; each town has its own calibration."""
        rng = town_rng(self.options.seed, job.split, job.town)
        rng = np.random.default_rng(rng.integers(2**63))
        lidar = self.lidar(LIDAR_TO_EGO)
        width, height = self.options.image_size or self.image_size
        cameras = {}
        for name, (position, heading, focal) in CAMERAS.items():
            focal *= width / 1600 if self.options.focal is None else self.options.focal / 1266.0
            cam2img = np.array([[focal, 0, rng.normal(0.508, 0.005) * width],
                                [0, focal, rng.normal(0.545, 0.005) * height], [0, 0, 1]])
            axes = yaw_matrix(np.deg2rad(heading)) @ LIDAR_TO_CAMERA_AXES.T
            cam2ego = homogeneous(np.column_stack([axes @ small_rotation(rng, 0.5), position]))
            cameras[name] = CameraMount(cam2img, width, height,
                                        np.linalg.inv(cam2ego) @ lidar.lidar2ego)
        return cameras, lidar

    # -- one frame ----------------------------------------------------------------------------

    def write(self, job: Job, frame: Frame) -> Sample:
        """Write images, scan and point labels; return what the tables need."""
        for name, photograph in frame.photographs.items():
            write_image(self.path(self._file(job, name)), photograph.image)
        scan = frame.scan
        intensity = np.round(scan.points[:, 3:] * 255)
        np.column_stack([scan.points[:, :3], intensity,
                         scan.ring]).astype(np.float32).tofile(self.path(self._file(job, LIDAR)))
        lut = np.zeros(256, np.uint8)
        for label, category in CATEGORY_OF_LABEL.items():
            lut[label] = CATEGORIES.index(category)
        categories = lut[scan.semantic]
        categories.tofile(self.path(self._label_file(job, 'lidarseg', 'bin')))
        panoptic = categories.astype(np.uint16) * 1000 + scan.instance.astype(np.uint16)
        np.savez_compressed(self.path(self._label_file(job, 'panoptic', 'npz')), data=panoptic)
        share = np.max([visibility(frame, name).share for name in CAMERAS], 0)
        annotations = [
            Annotation(thing, frame.boxes[k], int(frame.num_points[k]), float(share[k]))
            for k, thing in enumerate(frame.objects) if frame.num_points[k] or share[k]
        ]
        ego2global = frame.scene.ego2world.copy()
        ego2global[:2, 3] += self._offset(job)
        return Sample(ego2global, annotations)

    def _offset(self, job: Job) -> np.ndarray:
        """Return the (2,) offset of a sample's scene in the global frame, metres."""
        return np.array([SCENE_DISTANCE * (job.index + 1), SCENE_DISTANCE * (job.town + 1)])

    def _timestamp(self, job: Job) -> int:
        number = job.index + (self.options.scenes if job.split == Split.VAL else 0)
        return START + 500_000 * number

    def _file(self, job: Job, channel: str) -> str:
        suffix = 'pcd.bin' if channel == LIDAR else 'jpg'
        name = f'{_log_name(job)}__{channel}__{self._timestamp(job)}.{suffix}'
        return os.path.join('samples', channel, name)

    def _label_file(self, job: Job, task: str, suffix: str) -> str:
        token = self._token('sample_data', LIDAR, job)
        return os.path.join(task, VERSION, f'{token}_{task}.{suffix}')

    def _token(self, table: str, *key: Any) -> str:
        text = repr((self.options.seed, table, *key))
        return hashlib.md5(text.encode()).hexdigest()

    # -- tables -------------------------------------------------------------------------------

    def finish(self, records: list[tuple[Job, Sample]]) -> list[str]:
        """Write the tables, the map mask and mmdet3d's infos."""
        tables: dict[str, list[dict]] = {
            name: [] for name in ('category', 'attribute', 'visibility', 'instance', 'sensor',
                                  'calibrated_sensor', 'ego_pose', 'log', 'scene', 'sample',
                                  'sample_data', 'sample_annotation', 'map', 'lidarseg', 'panoptic')
        }
        self._fill_vocabulary(tables)
        towns: dict[tuple[Split, int], list[tuple[Job, Sample]]] = {}
        for job, sample in records:
            towns.setdefault((job.split, job.town), []).append((job, sample))
        for members in towns.values():
            self._fill_town(tables, members)
        mask = os.path.join('maps', 'demo.png')
        tables['map'].append(
            dict(category='semantic_prior', token=self._token('map'), filename=mask,
                 log_tokens=[log['token'] for log in tables['log']]))
        write_image(self.path(mask), np.full((16, 16, 3), 255, np.uint8))
        for name, rows in tables.items():
            with open(self.path(VERSION, f'{name}.json'), 'w', encoding='utf-8') as file:
                json.dump(rows, file, indent=0)
        lines = [f"{len(records)} samples in {len(towns)} scenes of '{VERSION}' in {self.root}"]
        for split in (Split.TRAIN, Split.VAL):
            members = [record for record in records if record[0].split == split]
            path = self.path(f'nuscenes_infos_{split.name.lower()}.pkl')
            self._write_infos(path, members)
            lines.append(f'{len(members)} of them in {path}')
        return lines

    def _fill_vocabulary(self, tables: dict[str, list[dict]]) -> None:
        for index, name in enumerate(CATEGORIES):
            tables['category'].append(
                dict(token=self._token('category', name), name=name, description='', index=index))
        for name in ATTRIBUTES:
            tables['attribute'].append(
                dict(token=self._token('attribute', name), name=name, description=''))
        for level, name in enumerate(VISIBILITY_LEVELS):
            tables['visibility'].append(dict(token=str(level + 1), level=name, description=''))
        for channel in (LIDAR, *CAMERAS):
            tables['sensor'].append(
                dict(token=self._token('sensor', channel), channel=channel,
                     modality='lidar' if channel == LIDAR else 'camera'))

    def _fill_town(self, tables: dict[str, list[dict]], members: list[tuple[Job, Sample]]) -> None:
        """Add a scene with its log, sensors and samples."""
        first = members[0][0]
        name = SCENE_NAMES[first.split][first.town]
        scene, log = self._token('scene', name), self._token('log', name)
        samples = [self._token('sample', job) for job, _ in members]
        tables['log'].append(
            dict(token=log, logfile=_log_name(first), vehicle='demo', date_captured='2020-01-01',
                 location=_log_name(first)))
        tables['scene'].append(
            dict(token=scene, name=name, log_token=log, nbr_samples=len(members),
                 first_sample_token=samples[0], last_sample_token=samples[-1],
                 description='Places of one procedural town.'))
        cameras, lidar = self.mounts(first)
        for channel in (LIDAR, *CAMERAS):
            camera = cameras.get(channel)
            pose = lidar.lidar2ego
            if camera is not None:
                pose = pose @ np.linalg.inv(camera.lidar2cam)
            tables['calibrated_sensor'].append(
                dict(token=self._token('calibrated_sensor', channel, name),
                     sensor_token=self._token('sensor', channel), **_pose(pose),
                     camera_intrinsic=[] if camera is None else camera.cam2img.tolist()))
        for k, (job, sample) in enumerate(members):
            tables['sample'].append(
                dict(token=samples[k], timestamp=self._timestamp(job), scene_token=scene,
                     prev=samples[k - 1] if k else '',
                     next=samples[k + 1] if k + 1 < len(samples) else ''))
            self._fill_sample(tables, job, sample, name, cameras)

    def _fill_sample(self, tables: dict[str, list[dict]], job: Job, sample: Sample, scene: str,
                     cameras: dict[str, CameraMount]) -> None:
        for channel in (LIDAR, *CAMERAS):
            token, pose = self._token('sample_data', channel,
                                      job), self._token('ego_pose', channel, job)
            camera = cameras.get(channel)
            tables['ego_pose'].append(
                dict(token=pose, timestamp=self._timestamp(job), **_pose(sample.ego2global)))
            tables['sample_data'].append(
                dict(token=token, sample_token=self._token('sample', job), ego_pose_token=pose,
                     calibrated_sensor_token=self._token('calibrated_sensor', channel, scene),
                     timestamp=self._timestamp(job), is_key_frame=True, prev='', next='',
                     fileformat='pcd' if camera is None else 'jpg',
                     width=0 if camera is None else camera.width,
                     height=0 if camera is None else camera.height,
                     filename=self._file(job, channel)))
        lidar_token = self._token('sample_data', LIDAR, job)
        for task, suffix in (('lidarseg', 'bin'), ('panoptic', 'npz')):
            tables[task].append(
                dict(token=lidar_token, sample_data_token=lidar_token,
                     filename=self._label_file(job, task, suffix)))
        for annotation in sample.annotations:
            self._fill_annotation(tables, job, annotation)

    def _fill_annotation(self, tables: dict[str, list[dict]], job: Job,
                         annotation: Annotation) -> None:
        thing = annotation.thing
        token = self._token('sample_annotation', job, thing.instance)
        instance = self._token('instance', job, thing.instance)
        center = thing.center.copy()
        center[:2] += self._offset(job)
        length, width, height = thing.size.tolist()
        level = np.searchsorted([0.4, 0.6, 0.8], annotation.share, side='right') + 1
        tables['instance'].append(
            dict(token=instance, nbr_annotations=1, first_annotation_token=token,
                 last_annotation_token=token,
                 category_token=self._token('category', CATEGORY_OF_LABEL[thing.label])))
        tables['sample_annotation'].append(
            dict(token=token, sample_token=self._token('sample', job), instance_token=instance,
                 visibility_token=str(level),
                 attribute_tokens=[self._token('attribute', _attribute(thing))],
                 translation=center.tolist(), size=[width, length, height],
                 rotation=quaternion(yaw_matrix(thing.yaw)), prev='', next='',
                 num_lidar_pts=annotation.num_points, num_radar_pts=0))

    def _write_infos(self, path: str, members: list[tuple[Job, Sample]]) -> None:
        """Write the infos, version 2, that mmdet3d's nuScenes datasets read."""
        entries = []
        for k, (job, sample) in enumerate(members):
            cameras, lidar = self.mounts(job)
            images = {
                name: dict(img_path=os.path.basename(self._file(job, name)),
                           cam2img=mount.cam2img.tolist(),
                           cam2ego=(lidar.lidar2ego @ np.linalg.inv(mount.lidar2cam)).tolist(),
                           lidar2cam=mount.lidar2cam.tolist(),
                           sample_data_token=self._token('sample_data', name, job),
                           timestamp=self._timestamp(job) / 1e6)
                for name, mount in cameras.items()
            }
            lidar2global = sample.ego2global @ lidar.lidar2ego
            entries.append(dict(
                sample_idx=k, token=self._token('sample', job),
                timestamp=self._timestamp(job) / 1e6, ego2global=sample.ego2global.tolist(),
                images=images,
                lidar_points=dict(num_pts_feats=5,
                                  lidar_path=os.path.basename(self._file(job, LIDAR)),
                                  lidar2ego=lidar.lidar2ego.tolist()),
                instances=[_instance(item, lidar2global) for item in sample.annotations],
                pts_semantic_mask_path=os.path.basename(self._label_file(job, 'lidarseg', 'bin'))))
        metainfo = dict(categories={name: k for k, name in enumerate(DETECTION_CLASSES)},
                        dataset='nuscenes', version=VERSION, info_version='1.1')
        with open(path, 'wb') as file:
            pickle.dump(dict(metainfo=metainfo, data_list=entries), file)


def _log_name(job: Job) -> str:
    return f'demo-{job.split.name.lower()}-town-{job.town}'


def _attribute(thing: Object) -> str:
    if thing.label in (Label.BICYCLE, Label.BICYCLIST):
        return 'cycle.with_rider' if thing.label == Label.BICYCLIST else 'cycle.without_rider'
    if thing.label == Label.PERSON:
        return 'pedestrian.moving' if thing.moving else 'pedestrian.standing'
    return 'vehicle.moving' if thing.moving else 'vehicle.parked'


def _instance(annotation: Annotation, lidar2global: np.ndarray) -> dict:
    thing = annotation.thing
    category = DETECTION_OF_CATEGORY[CATEGORY_OF_LABEL[thing.label]]
    label = DETECTION_CLASSES.index(category)
    velocity = lidar2global[:2, :2].T @ thing.velocity
    return dict(bbox_label=label, bbox_label_3d=label, bbox_3d=annotation.box.tolist(),
                bbox_3d_isvalid=annotation.num_points > 0, num_lidar_pts=annotation.num_points,
                num_radar_pts=0, velocity=velocity.tolist())


def _pose(transform: np.ndarray) -> dict:
    return dict(translation=transform[:3, 3].tolist(), rotation=quaternion(transform[:3, :3]))


def quaternion(rotation: np.ndarray) -> list[float]:
    """Return the unit quaternion w, x, y, z of a (3, 3) rotation."""
    (a, b, c), (d, e, f), (g, h, i) = rotation
    matrix = np.array([[a + e + i, h - f, c - g, d - b], [h - f, a - e - i, b + d, c + g],
                       [c - g, b + d, e - a - i, f + h], [d - b, c + g, f + h, i - a - e]])
    values = np.linalg.eigh(matrix)[1][:, -1]
    return (values * (1 if values[0] >= 0 else -1)).tolist()
