"""The data set of each YAML for pretraining, on a demo world; OpenPCDet is made up."""
import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from mmengine import fileio
from mmengine.registry import MODELS

from nclr_plugin.demo import DemoOptions, generate
from nclr_plugin.pcdet.launcher import config_loader

pytest.importorskip('spconv')
CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'pcdet'
# Layout of the data, frames to train on and to test, views and size of their images.
WORLDS = dict(
    kitti=('kitti', 10, 11, 1, (160, 512)),
    semantickitti=('semantickitti', 10, 1, 1, (160, 512)),
    nuscenes=('nuscenes', 10, 1, 6, (160, 320)))


class DatasetTemplate(torch.utils.data.Dataset):
    """What the data set reads of OpenPCDet's."""

    def __init__(self, dataset_cfg, class_names, training, root_path, logger):
        encoding = dataset_cfg.POINT_FEATURE_ENCODING
        self.training, self.mode = training, 'train' if training else 'test'
        self.root_path = Path(dataset_cfg.DATA_PATH)
        self.point_cloud_range = np.array(dataset_cfg.POINT_CLOUD_RANGE, np.float32)
        self.point_feature_encoder = SimpleNamespace(
            used_feature_list=encoding['used_feature_list'],
            src_feature_list=encoding['src_feature_list'],
            num_point_features=len(encoding['used_feature_list']))
        self._merge_all_iters_to_one_epoch = False


@pytest.fixture
def dataset_class(monkeypatch):
    """``NCLRCalibrationDataset`` on the made-up OpenPCDet."""
    name = 'nclr_plugin.pcdet.calibration_dataset'
    fake = ModuleType('pcdet.datasets')
    fake.DatasetTemplate = DatasetTemplate
    monkeypatch.setitem(sys.modules, 'pcdet', ModuleType('pcdet'))
    monkeypatch.setitem(sys.modules, 'pcdet.datasets', fake)
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(name).NCLRCalibrationDataset
    sys.modules.pop(name)


@pytest.fixture
def world(tmp_path, as_openpcdet):
    """Makes a demo world of ten training scenes and one other, and returns its ``DATA_PATH``."""

    def make(layout):
        generate(str(tmp_path), layout, DemoOptions(
            scenes=10, val_scenes=1, towns=8 if layout == 'nuscenes' else 10, azimuths=90,
            image_size=(104, 56)))
        if layout == 'kitti':
            stems = sorted(path.stem for path in (tmp_path / 'training' / 'velodyne').iterdir())
            (tmp_path / 'ImageSets').mkdir(exist_ok=True)
            for split, rows in (('train', stems[:10]), ('val', stems)):
                (tmp_path / 'ImageSets' / f'{split}.txt').write_text('\n'.join(rows) + '\n')
        for split in ('train', 'val') if layout == 'nuscenes' else ():
            infos = fileio.load(tmp_path / f'nuscenes_infos_{split}.pkl')['data_list']
            fileio.dump([as_openpcdet(info) for info in infos],
                        tmp_path / f'nuscenes_infos_10sweeps_{split}.pkl')
        return tmp_path

    return make


def load(name):
    return config_loader(lambda _, new: new, [CONFIGS])(
        str(CONFIGS / f'nclr_pretrain_{name}.yaml'), {})


def test_every_config_is_here():
    assert {path.stem for path in CONFIGS.glob('nclr_pretrain_*.yaml')} == {
        f'nclr_pretrain_{name}' for name in WORLDS}


@pytest.mark.parametrize('name', WORLDS)
def test_reads_its_frames(name, world, dataset_class):
    layout, train, test, views, size = WORLDS[name]
    config = load(name)['DATA_CONFIG']
    config['DATA_PATH'] = world(layout)
    for training, frames in ((True, train), (False, test)):
        dataset = dataset_class(SimpleNamespace(**config), [], training, None, None)
        assert len(dataset) == frames
        sample = dataset[0]
        assert sample['inputs']['imgs'].shape == (views, 3, *size)
        points = sample['inputs']['points']
        assert points.shape[1] == 4 and len(points) > 500
        assert 0 <= points[:, 3].min() and points[:, 3].max() <= 1
        assert sample['data_samples'].lidar2cam.shape == (views, 4, 4)
    batch = dataset.collate_batch([sample])
    assert batch['points'].shape == (len(points), 5) and len(batch['camera_imgs']) == views
    assert len(dataset.metrics) == len(config['METRICS'])
    assert 'scan_centre' not in batch
    centred = dict(sample, inputs=dict(sample['inputs'], scan_centre=torch.tensor([1., 2., 3.])))
    assert dataset.collate_batch([centred, centred])['scan_centre'].tolist() == 2 * [[1., 2., 3.]]
    other = dict(sample, inputs=dict(
        sample['inputs'], imgs=sample['inputs']['imgs'][..., :-1]))
    with pytest.raises(ValueError, match='expected images of one size in a batch.*frame'):
        dataset.collate_batch([sample, other])


@pytest.mark.parametrize('name', WORLDS)
def test_names_parts_that_can_be_built(name):
    from nclr_plugin.pcdet import networks  # noqa: F401, registers
    config = load(name)['MODEL']
    assert config['NAME'] == 'NCLRPretrain'
    assert config['BACKBONE_3D'] == dict(NAME='VoxelBackBone8x')
    for part, values in config['NCLR'].items():
        if isinstance(values, dict) and 'type' in values:
            assert MODELS.get(values['type']) is not None, part


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('*.yaml')), ids=lambda path: path.stem)
def test_bases_exist_here_or_in_openpcdet(path):
    base = yaml.safe_load(path.read_text()).get('_BASE_CONFIG_')
    assert base is None or base.startswith('cfgs/') or (path.parent / base).is_file()


@pytest.mark.slow
def test_batches_follow_openpcdets_conventions(pretraining):
    assert pretraining['batch'] == dict(
        points=[5], scans=[0., 1.], camera_imgs=[2, 3, 160, 512], dtype='torch.uint8', frames=2,
        size=2)
    assert pretraining['passes_differ']
    assert pretraining['test_is_deterministic']
