import pytest

from nclr_plugin.engine import BrokenFrameHook

SKIPPED = {2: [('toy/01', 'scan 01.bin: 7 bytes')], 5: [('toy/03', 'no png'), ('toy/04', 'empty')]}


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
