"""A detector's voxels against those of its pretrained encoder."""
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from nclr_plugin.checkpoints import export_backbone
from nclr_plugin.checkpoints.voxels import (
    Voxels,
    voxels_of_checkpoint,
    warn_of_difference,
    warn_of_other_voxels,
)

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'nclr'
KITTI = (0, -40, -3, 70.4, 40, 1)


def detector(size, limits):
    return SimpleNamespace(data_preprocessor=SimpleNamespace(
        voxel_layer=SimpleNamespace(voxel_size=list(size), point_cloud_range=list(limits))))


@pytest.fixture
def checkpoint(tmp_path):
    """Function: name of a config -> checkpoint with its text, as mmengine's hook writes it."""

    def save(name):
        config = Config.fromfile(str(CONFIGS / f'{name}.py'), import_custom_modules=False)
        path = tmp_path / f'{name}.pth'
        torch.save(dict(meta=dict(cfg=config.pretty_text), state_dict={}), path)
        return str(path)

    return save


def test_what_a_run_was_trained_on_is_read(checkpoint):
    voxels = voxels_of_checkpoint(checkpoint('nclr_voxelnet_semantickitti'))
    assert voxels.size == (0.05, 0.05, 0.1)
    assert voxels.range == (-51.2, -51.2, -3, 51.2, 51.2, 1)


def test_voxels_of_the_detectors_agree(checkpoint, warnings):
    warn_of_other_voxels(detector((0.05, 0.05, 0.1), KITTI),
                         checkpoint('nclr_voxelnet_semantickitti'))
    warn_of_other_voxels(detector((0.1, 0.1, 0.2), (-51.2, -51.2, -5, 51.2, 51.2, 3)),
                         checkpoint('nclr_centerpoint_nuscenes'))
    assert warnings == []


def test_another_size_and_other_heights_are_told_with_both_values(checkpoint, warnings):
    warn_of_other_voxels(detector((0.1, 0.1, 0.1), (0, -40, -3, 70.4, 40, 2)),
                         checkpoint('nclr_voxelnet_semantickitti'))
    size, heights = warnings
    assert '(0.05, 0.05, 0.1)' in size and '(0.1, 0.1, 0.1)' in size
    assert '-51.2, -3.0, 51.2, 51.2, 1.0)' in heights and '70.4, 40.0, 2.0)' in heights


def test_a_detector_of_mmdet3d_tells_its_voxels_too(tmp_path):
    pytest.importorskip('mmdet3d')
    config = Config.fromfile(str(CONFIGS.parent / 'detection' / 'second_kitti.py'))
    path = tmp_path / 'second.pth'
    torch.save(dict(meta=dict(cfg=config.pretty_text), state_dict={}), path)
    voxels = voxels_of_checkpoint(str(path))
    assert voxels.size == (0.05, 0.05, 0.1) and voxels.range == KITTI


def test_a_built_detector_of_mmdet3d_is_compared(checkpoint, warnings):
    pytest.importorskip('mmdet3d')
    from mmengine.registry import MODELS, DefaultScope
    config = Config.fromfile(str(CONFIGS.parent / 'detection' / 'second_kitti.py'))
    name = checkpoint('nclr_centerpoint_nuscenes')
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
    warn_of_other_voxels(model, name)
    size, heights = warnings
    assert '(0.1, 0.1, 0.2) m, this detector has voxels of (0.05, 0.05, 0.1) m' in size
    assert '51.2, 3.0), this detector has (0.0, -40.0, -3.0, 70.4, 40.0, 1.0)' in heights


def test_openpcdets_files_tell(sparse_encoder, tmp_path, warnings):
    """Of its pretraining; and exported for it, of a run here."""
    wide = (-51.2, -51.2, -3, 51.2, 51.2, 1)
    path = str(tmp_path / 'checkpoint_epoch_1.pth')
    torch.save(dict(model_state=Voxels((0.05, 0.05, 0.1), wide).tensors()), path)
    assert voxels_of_checkpoint(path) == ((0.05, 0.05, 0.1), wide)
    text = Config.fromfile(str(CONFIGS / 'nclr_voxelnet_semantickitti.py'),
                           import_custom_modules=False).pretty_text
    torch.save(dict(meta=dict(cfg=text), state_dict=sparse_encoder().state_dict()), path)
    exported = str(tmp_path / 'exported.pth')
    export_backbone(path, 'openpcdet', exported)
    assert voxels_of_checkpoint(exported) == ((0.05, 0.05, 0.1), wide)
    warn_of_difference(exported, Voxels((0.05, 0.05, 0.1), KITTI))
    assert warnings == []
    warn_of_difference(exported, Voxels((0.1, 0.1, 0.1), KITTI))
    assert len(warnings) == 1 and '(0.05, 0.05, 0.1) m' in warnings[0]


def test_files_that_do_not_tell_pass(tmp_path, warnings):
    path = tmp_path / 'exported.pth'
    torch.save(dict(meta={}, state_dict={}), path)
    assert voxels_of_checkpoint(str(path)) is None
    warn_of_other_voxels(detector((1, 1, 1), KITTI), str(path))
    warn_of_other_voxels(torch.nn.Linear(1, 1), str(path))
    assert warnings == []


@pytest.mark.parametrize('text', [
    "custom_imports = dict(imports=['package_that_is_gone'])\nraise SystemExit",
    "model = dict(data_preprocessor=dict(voxel_size=['a', 'b', 'c']))",
    'model = 3', 'train_dataloader = dict(dataset=dict(pipeline=[7]))\n'
    'model = dict(data_preprocessor=dict(voxel_size=(1, 1, 1)))', 'no python <at> all',
], ids=['import', 'words', 'number', 'pipeline', 'text'])
def test_advice_never_stops_work(tmp_path, warnings, sparse_encoder, text):
    path = str(tmp_path / 'foreign.pth')
    torch.save(dict(meta=dict(cfg=text), state_dict=sparse_encoder().state_dict()), path)
    warn_of_other_voxels(detector((0.05, 0.05, 0.1), KITTI), path)
    export_backbone(path, 'openpcdet', str(tmp_path / 'out.pth'))
    assert voxels_of_checkpoint(path) is None and warnings == []


def test_a_config_that_imports_what_is_not_here_tells_its_voxels(checkpoint, tmp_path):
    path = checkpoint('nclr_voxelnet_semantickitti')
    content = torch.load(path)
    content['meta']['cfg'] += "\ncustom_imports = dict(imports=['package_that_is_gone'])\n"
    torch.save(content, path)
    assert voxels_of_checkpoint(path).size == (0.05, 0.05, 0.1)


def test_the_range_is_found_inside_mmdet3ds_wrappers(tmp_path):
    crop = dict(pipeline=[dict(type='CropPoints', point_cloud_range=[0, -1, -2, 3, 4, 5])])
    wrapped = dict(dataset=dict(type='RepeatDataset', dataset=dict(datasets=[crop, crop])))
    config = Config(dict(model=dict(data_preprocessor=dict(voxel_size=[1, 1, 1])),
                         train_dataloader=wrapped))
    path = str(tmp_path / 'wrapped.pth')
    torch.save(dict(meta=dict(cfg=config.pretty_text), state_dict={}), path)
    assert voxels_of_checkpoint(path).range == (0, -1, -2, 3, 4, 5)
