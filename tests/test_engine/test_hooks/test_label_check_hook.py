from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.logging import MMLogger

from nclr_plugin.errors import DataLayoutError
from nclr_plugin.engine import LabelCheckHook


class LoadPointsFromFile:
    load_dim = 4


class LoadAnnotations3D:
    with_seg_3d, seg_3d_dtype, seg_offset = True, np.int32, 2**16


class Dataset:
    """What the hook knows of mmdet3d's data sets."""
    ann_file = 'infos_train_1.pkl'

    def __init__(self, folder, frames, transforms=(LoadPointsFromFile(), LoadAnnotations3D())):
        folder.mkdir()
        self.frames = []
        for number, (points, labels) in enumerate(frames):
            np.zeros((points, 4), np.float32).tofile(folder / f'{number}.bin')
            np.array(labels, np.uint32).tofile(folder / f'{number}.label')
            self.frames.append(dict(lidar_path=str(folder / f'{number}.bin'),
                                    pts_semantic_mask_path=str(folder / f'{number}.label')))
        self.pipeline = SimpleNamespace(transforms=list(transforms))
        self.metainfo = dict(seg_label_mapping={0: 1, 40: 0})

    def __len__(self):
        return len(self.frames)

    def get_data_info(self, index):
        return self.frames[index]


GOOD = [(3, [0, 40, 40 + 2**16 * 5]), (1, [40])]


@pytest.fixture
def check(tmp_path):
    """Function: frames for training and validation -> runs the hook."""

    def run(train, val=GOOD, stage='before_train', **options):
        def loader(name, frames):
            return SimpleNamespace(dataset=Dataset(tmp_path / name, frames, **options))

        runner = SimpleNamespace(
            train_dataloader=loader('train', train), val_dataloader=loader('val', val),
            val_loop=object(), logger=MMLogger.get_instance('label_check'))
        runner.test_dataloader = runner.train_dataloader
        getattr(LabelCheckHook(), stage)(runner)

    return run


def test_good_labels_pass(check):
    check(GOOD)


@pytest.mark.parametrize('stage', ['before_train', 'before_test'])
def test_short_label_file(check, stage):
    with pytest.raises(DataLayoutError, match='1.label.*expected 4 labels.*found 3'):
        check([GOOD[0], (4, [40] * 3)], stage=stage)


def test_label_outside_the_map_in_the_validation_set(check):
    with pytest.raises(DataLayoutError, match=r'val/0.label.*\[0, 40\], found \[41\]'):
        check(GOOD, val=[(2, [40, 41])])


def test_nothing_to_train_on(check):
    with pytest.raises(DataLayoutError, match='infos_train_1.pkl.*selects nothing'):
        check([])


def test_data_without_labels_is_passed_over(check):
    check([(4, [])], val=[(1, [])], transforms=(LoadPointsFromFile(), ))
