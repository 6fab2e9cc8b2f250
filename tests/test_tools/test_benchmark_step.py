import argparse
import contextlib
import time

import pytest
import torch
from torch import nn

from benchmarks import step


def test_parts_are_timed_in_turn_after_a_warm_up():
    model, calls = nn.Linear(2, 2), []

    def part(name, seconds):
        def call():
            calls.append((name, model.weight.grad))
            time.sleep(seconds * (5 if len(calls) <= 2 else 1))  # slow to warm up
            model(torch.ones(1, 2)).sum().backward()
        return call

    times = step.measure(dict(quick=part('quick', 0.01), slow=part('slow', 0.04)), 3, 'cpu',
                         False, model)
    assert [name for name, _ in calls] == ['quick', 'slow'] * 4
    assert all(gradient is None for _, gradient in calls), 'each part starts without gradients'
    assert len(times['quick']) == len(times['slow']) == 3
    assert 0.01 <= min(times['quick']) and 0.04 <= min(times['slow'])
    assert min(times['slow']) < 0.2, 'the warm-up is not counted'


@pytest.mark.parametrize('amp, dtype', [(False, torch.float32), (True, torch.bfloat16)])
def test_amp_is_bfloat16_on_a_cpu(amp, dtype):
    model, seen = nn.Linear(2, 2), set()
    step.measure(dict(part=lambda: seen.add(model(torch.ones(1, 2)).dtype)), 1, 'cpu', amp, model)
    assert seen == {dtype}


def test_amp_is_what_training_takes_on_each_device(monkeypatch):
    """Of the device that is timed, whatever others there are."""
    asked = []

    def autocast(device_type, enabled, dtype, cache_enabled):
        asked.append((device_type, enabled, dtype))
        return contextlib.nullcontext()

    monkeypatch.setattr('torch.autocast', autocast)
    monkeypatch.setattr('torch.cuda.is_bf16_supported', lambda: True)
    monkeypatch.setattr('mmengine.runner.amp.get_device', lambda: 'cuda')
    for device in ('cuda', 'cuda:1', 'cpu'):
        with step.mixed_precision(device, True):
            pass
    assert asked == [('cuda', True, torch.float16), ('cuda', True, torch.float16),
                     ('cpu', True, torch.bfloat16)]


def test_overrides_reach_the_config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('model = dict(width=1, depth=2)\n')
    parser = argparse.ArgumentParser()
    step.add_arguments(parser)
    args = parser.parse_args(['--config', str(path), '--cfg-options', 'model.width=5'])
    assert step.load(args).model == dict(width=5, depth=2)
    assert args.batch_size == 1 and not args.amp


def test_processor_time_does_not_count_what_others_take():
    times = step.measure(dict(part=lambda: time.sleep(0.2)), 2, 'cpu', False, nn.Linear(1, 1),
                         time.process_time)
    assert max(times['part']) < 0.1
