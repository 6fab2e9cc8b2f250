"""Refused checkpoints and labels, and reported frames."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger

from nclr_plugin.engine import BrokenFrameHook, CheckpointGuardHook, LabelCheckHook
from nclr_plugin.errors import CheckpointMismatchError, DataLayoutError

SKIPPED = {2: [('toy/01', 'scan 01.bin: 7 bytes')], 5: [('toy/03', 'no png'), ('toy/04', 'empty')]}


@pytest.mark.parametrize('resume', [False, True])
def test_checkpoint_of_another_model_stops_the_runner(toy, tmp_path, resume):
    toy.build_runner(tmp_path / 'other', name='first', **{'model.width': 16}).train()
    runner = toy.build_runner(tmp_path, [CheckpointGuardHook()], name='second', resume=resume,
                              load_from=str(tmp_path / 'other' / 'iter_9.pth'))
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    with pytest.raises(CheckpointMismatchError, match='of another model'):
        runner.train()
    assert all(torch.equal(v, runner.model.state_dict()[k]) for k, v in before.items()
               if 'weight' not in k)


def test_own_checkpoint_loads(toy, tmp_path):
    toy.build_runner(tmp_path / 'a', name='first').train()
    runner = toy.build_runner(tmp_path / 'b', [CheckpointGuardHook()], name='second')
    loaded = runner.load_checkpoint(str(tmp_path / 'a' / 'iter_9.pth'))
    for name, value in loaded['state_dict'].items():
        assert torch.equal(runner.model.state_dict()[name], value), name


def test_impossible_share_is_refused():
    with pytest.raises(ValueError, match='share, 0 to 1, found 2'):
        CheckpointGuardHook(min_match=2)


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
    with pytest.raises(DataLayoutError, match='infos_train_1.pkl.*write the label fraction again'):
        check([])


def test_data_without_labels_is_passed_over(check):
    check([(4, [])], val=[(1, [])], transforms=(LoadPointsFromFile(), ))


def log_of(path):
    return '\n'.join(p.read_text() for p in path.rglob('*.log'))


def test_frames_are_logged_once_and_listed_at_the_end(toy, tmp_path):
    runner = toy.build_runner(tmp_path, [BrokenFrameHook()], **{
        'train_dataloader.dataset.skipped': SKIPPED, 'train_cfg.max_iters': 14})
    runner.train()  # 28 samples: every frame is met twice
    log = log_of(tmp_path)
    assert log.count('Broken frame toy/01 skipped: scan 01.bin: 7 bytes') == 1
    summary = log.split('3 broken frames were skipped:')[1]
    for line in ('toy/01: scan 01.bin: 7 bytes', 'toy/03: no png', 'toy/04: empty'):
        assert line in summary


def test_the_list_survives_a_resume(toy, tmp_path):
    overrides = {'train_dataloader.dataset.skipped': SKIPPED,
                 'train_dataloader.sampler.shuffle': False}
    with pytest.raises(KeyboardInterrupt):
        toy.build_runner(tmp_path, [toy.RecordHook(stop_after=3), BrokenFrameHook()],
                         name='first', **overrides).train()
    hook = BrokenFrameHook()
    toy.build_runner(tmp_path, [hook], name='second', resume=True,
                     **{**overrides, 'train_cfg.max_iters': 4}).train()
    assert set(hook.frames) == {'toy/01', 'toy/03', 'toy/04'}


def test_no_broken_frame_is_said_too(toy, tmp_path):
    toy.build_runner(tmp_path, [BrokenFrameHook()]).train()
    assert 'There were no broken frames.' in log_of(tmp_path)


def test_testing_lists_them(toy, tmp_path):
    runner = toy.build_runner(tmp_path, [BrokenFrameHook()], **toy.test_part(), **{
        'test_dataloader.dataset.skipped': SKIPPED})
    runner.test()
    assert '3 broken frames were skipped' in log_of(tmp_path)
