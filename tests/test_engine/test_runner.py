"""The network of a runner, wrapped or not."""
import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseTTAModel, ExponentialMovingAverage, MMDistributedDataParallel
from torch import nn

from nclr_plugin.engine.runner import unwrapped_model


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


def test_validates_like_mmengines_loop(toy, tmp_path):
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


def warned(toy, work_dir, **overrides):
    """Iterations trained, and what the log said of the schedule's length."""
    record = toy.RecordHook()
    toy.build_runner(work_dir, [record], **{
        'train_cfg': dict(type='ResumableIterLoop', max_iters=10, num_samples=40, val_interval=5),
        'param_scheduler': [dict(type='StepLR', by_epoch=False, step_size=5)],
        'train_dataloader.batch_size': 4, **overrides}).train()
    log = next(work_dir.glob('*/*.log')).read_text()
    return len(record.losses), re.findall('The schedule is made for .*', log)


def test_a_schedule_of_the_right_number_of_samples_is_not_spoken_of(toy, tmp_path):
    assert warned(toy, tmp_path / 'made_for_it') == (10, [])
    assert warned(toy, tmp_path / 'longer', **{
        'train_dataloader.batch_size': 2, 'train_cfg.max_iters': 20}) == (20, [])
    assert warned(toy, tmp_path / 'anything', **{
        'train_dataloader.batch_size': 2, 'train_cfg.num_samples': None}) == (10, [])


@pytest.mark.parametrize('batch_size, share, right', [(2, '50.0%', 20), (10, '250.0%', 4)])
def test_other_steps_than_the_schedule_is_made_for_are_named_with_the_options_that_mend_it(
        toy, tmp_path, batch_size, share, right):
    steps, (message, ) = warned(
        toy, tmp_path / f'as_it_is_{batch_size}', **{'train_dataloader.batch_size': batch_size})
    assert steps == 10  # what was asked for is done
    assert f'made for 40 samples; 10 steps of {batch_size}' in message and share in message
    options = re.search(r'--cfg-options (.*);', message)[1].split()
    options = {key: int(value) for key, value in (option.split('=') for option in options)}
    assert options == {'train_cfg.max_iters': right, 'train_cfg.val_interval': right // 2,
                       'param_scheduler.0.step_size': right // 2}
    config = toy.toy_config(tmp_path, param_scheduler=[dict(step_size=5)])
    config.merge_from_dict(options)
    assert config.param_scheduler[0].step_size == right // 2
    assert warned(toy, tmp_path / f'mended_{batch_size}', **{
        'train_dataloader.batch_size': batch_size, 'train_cfg.max_iters': right}) == (right, [])


def test_resumed_with_another_batch_size_goes_on_at_the_next_sample(toy, tmp_path):
    """Three steps of two samples, three of four, three of two."""
    read = []
    original = toy.ToyFrames.__getitem__

    def getitem(self, index):
        read.append(index)
        return original(self, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy.ToyFrames, '__getitem__', getitem)
        toy.build_runner(tmp_path / 'whole', **{'train_cfg.max_iters': 12}).train()
        whole = read.copy()
        read.clear()
        for name, batch_size, max_iters in (('a', 2, 3), ('b', 4, 6), ('c', 2, 9)):
            toy.build_runner(tmp_path / 'parts', resume=name != 'a', name=name, **{
                'train_dataloader.batch_size': batch_size,
                'train_cfg.max_iters': max_iters}).train()
    assert len(whole) == 24 and read == whole


def test_resumed_by_another_number_of_processes_goes_on_at_the_next_sample(toy, tmp_path,
                                                                           monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr('nclr_plugin.engine.runner.get_world_size', lambda: 2)
        toy.build_runner(tmp_path, name='two', **{'train_cfg.max_iters': 3}).train()
    runner = toy.build_runner(tmp_path, resume=True, name='one', **{'train_cfg.max_iters': 4})
    runner.train()
    assert runner.train_dataloader.batch_sampler.sampler.start == 3 * 2 * 2
    assert runner.message_hub.get_info('seen_samples') == 14


def test_forward_pass_is_autocast_and_weights_stay_float32(toy, tmp_path):
    record = toy.RecordHook()
    runner = toy.build_runner(tmp_path, [record],
                              **{'optim_wrapper.type': 'Bfloat16OptimWrapper'})
    runner.train()
    assert runner.model.seen_dtype == torch.bfloat16
    assert all(parameter.dtype == torch.float32 for parameter in runner.model.parameters())
    assert record.losses[9] < record.losses[0]


def test_the_network_is_found_with_and_without_a_wrapper():
    model = nn.Linear(2, 2)
    for given in (model, nn.DataParallel(model)):
        assert unwrapped_model(SimpleNamespace(model=given)) is model


class Net(nn.Linear):
    """A model that can be tested."""

    def test_step(self, data):
        return data


class Augmented(BaseTTAModel):
    """Test-time augmentation."""

    def merge_preds(self, data_samples_list):
        return data_samples_list


@pytest.fixture
def one_process(tmp_path):
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/group', rank=0,
                                         world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_wrappers_within_wrappers(one_process):
    model = Net(2, 2)
    assert unwrapped_model(SimpleNamespace(model=Augmented(model))) is model
    for wrapper in (MMDistributedDataParallel(Augmented(model)),
                    Augmented(MMDistributedDataParallel(model))):
        assert unwrapped_model(SimpleNamespace(model=wrapper)) is model
    averaged = ExponentialMovingAverage(model)
    assert type(unwrapped_model(SimpleNamespace(model=averaged))) is Net
    compiled = torch.compile(model)
    assert unwrapped_model(SimpleNamespace(model=compiled)) is model
