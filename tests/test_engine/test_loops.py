import pytest
import torch


def interrupted(toy, work_dir, stop_after, **overrides):
    """Losses of a training stopped dead and resumed, and the runner that ended it."""
    first = toy.RecordHook(stop_after=stop_after)
    with pytest.raises(KeyboardInterrupt):
        toy.build_runner(work_dir, [first], name='first', **overrides).train()
    second = toy.RecordHook()
    runner = toy.build_runner(work_dir, [second], resume=True, name='second', **overrides)
    runner.train()
    return {**first.losses, **second.losses}, second.losses, runner


@pytest.mark.parametrize('stop_after', [3, 5, 8])
def test_resumed_training_has_the_uninterrupted_loss_curve(toy, tmp_path, stop_after):
    whole = toy.RecordHook()
    reference = toy.build_runner(tmp_path / 'whole', [whole])
    reference.train()
    losses, resumed, runner = interrupted(toy, tmp_path / 'stopped', stop_after)
    assert min(resumed) == stop_after // 3 * 3  # the last checkpoint
    assert losses == whole.losses and len(losses) == 10
    for name, value in reference.model.state_dict().items():
        assert torch.equal(value, runner.model.state_dict()[name]), name


def test_resumed_with_workers_that_have_already_fetched(toy, tmp_path):
    workers = {'train_dataloader.num_workers': 1, 'train_dataloader.persistent_workers': True}
    whole = toy.RecordHook()
    toy.build_runner(tmp_path / 'whole', [whole]).train()
    losses, _, _ = interrupted(toy, tmp_path / 'stopped', 7, **workers)
    assert losses == whole.losses


def test_resuming_reads_no_batch_twice(toy, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        toy.build_runner(tmp_path, [toy.RecordHook(stop_after=9)], name='first').train()
    runner = toy.build_runner(tmp_path, resume=True, name='second')
    read = []
    original = toy.ToyFrames.__getitem__
    try:
        toy.ToyFrames.__getitem__ = lambda self, index: read.append(index) or original(self, index)
        runner.train()
    finally:
        toy.ToyFrames.__getitem__ = original
    assert len(read) == 2  # one iteration of two samples is left after checkpoint 9


def test_validates_like_the_host_loop(toy, tmp_path):
    class Count(toy.Hook):
        calls = []

        def before_val(self, runner):
            self.calls.append(runner.iter)

    part = toy.test_part()
    toy.build_runner(tmp_path, [Count()], **{
        'val_dataloader': part['test_dataloader'], 'val_cfg': dict(type='ValLoop'),
        'val_evaluator': part['test_evaluator'],
        'train_cfg': dict(type='ResumableIterLoop', max_iters=10, val_begin=4, val_interval=4),
    }).train()
    assert Count.calls == [4, 8, 10]


def test_sampler_that_cannot_be_entered_is_refused_before_training(toy, tmp_path):
    runner = toy.build_runner(tmp_path, **{
        'train_dataloader.sampler': dict(type='InfiniteSampler', _delete_=True)})
    with pytest.raises(TypeError, match='InfiniteSampler has not; use .*SeededInfiniteSampler'):
        runner.train()
