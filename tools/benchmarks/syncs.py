"""Count the operations of a training step for which the CPU has to wait for the GPU.

On a GPU, torch's sync debug mode reports them. Without one, the calls that would wait are counted.
That is an upper bound: it includes copies of tensors that are already on the device.
"""
from __future__ import annotations

import argparse
import contextlib
import inspect
import linecache
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple
from unittest import mock

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from nclr_plugin.experiments.tables import markdown_table
from nclr_plugin.utils import devices

ROOT = Path(__file__).resolve().parents[2]
TORCH = str(Path(torch.__file__).parent)
MODES = ('torch/overrides.py', 'torch/utils/_python_dispatch.py', 'torch/utils/_device.py')
STEPS = 4  # only the last one counts: schedules have switched all losses on by then
UNKNOWN_SIZE = 'result of unknown size'
OPERATORS = {  # of torch, by name without overload
    '_local_scalar_dense': 'value read by the host',
    'equal': 'value read by the host',
    'nonzero': UNKNOWN_SIZE, 'masked_select': UNKNOWN_SIZE, 'bincount': UNKNOWN_SIZE,
    '_unique2': UNKNOWN_SIZE, 'unique_dim': UNKNOWN_SIZE, 'unique_consecutive': UNKNOWN_SIZE,
    '_linalg_eigh': 'error flag of a factorisation',
    '_linalg_check_errors': 'error flag of a factorisation',
}
TO_DEVICE, TO_HOST = 'copy to the device', 'copy to the host'


class Sync(NamedTuple):
    """A line of code where the CPU waits for the GPU.

    Attributes:
        file: Source file, relative to the folder of its package.
        line: Line number.
        text: Source code of the line.
        kind: Reason of the wait.
    """
    file: str
    line: int
    text: str
    kind: str


class SyncCounter:
    """Context manager that counts the waits for the GPU: ``counts`` by :class:`Sync`.

    Without a GPU, code takes the paths that it would take on one. Asynchronous copies count as
    such, because batches lie in pinned memory; see :func:`nclr_plugin.engine.launcher.train`.
    """

    def __init__(self) -> None:
        self.counts: Counter = Counter()

    def __enter__(self) -> SyncCounter:
        with contextlib.ExitStack() as stack:
            if torch.cuda.is_available():
                stack.enter_context(_debug_mode(self.record))
            else:
                stack.enter_context(_Functions(self))
                stack.enter_context(_Operators(self))
                stack.enter_context(_pair_generation(self.record))
                stack.enter_context(mock.patch.object(devices, 'on_host', lambda tensor: False))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.__exit__(*exception)

    def record(self, kind: str, in_spconv: bool = False) -> None:
        """Count a wait at the innermost line outside torch.

        Without a GPU, some are left out: those of spconv, which uses another algorithm on a CPU;
        those of torch's optimizers, which keep their step counts in CPU memory on any device; and
        copies that torch's own functions request, between tensors of one device.
        """
        frame = sys._getframe(1)
        while frame.f_back and (frame.f_code.co_filename.startswith(TORCH)
                                or frame.f_code.co_filename in (__file__, contextlib.__file__)
                                or in_spconv and '/spconv/' in frame.f_code.co_filename):
            name = frame.f_code.co_filename
            inside = name.startswith(TORCH) and not name.endswith(MODES)
            if not torch.cuda.is_available() and inside and (
                    kind == TO_DEVICE or name.startswith(f'{TORCH}/optim')):
                return
            frame = frame.f_back
        name, line = frame.f_code.co_filename, frame.f_lineno
        if '/spconv/' in name and not torch.cuda.is_available():
            return
        text = linecache.getline(name, line).strip()
        self.counts[Sync(_relative(name), line, text, kind)] += 1


class _Operators(TorchDispatchMode):
    """Report operators that wait for the GPU."""

    def __init__(self, counter: SyncCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        kind = _operator_kind(function, args, kwargs or {})
        if kind:
            self.counter.record(kind)
        return function(*args, **(kwargs or {}))


class _Functions(TorchFunctionMode):
    """Report copies between CPU and GPU, which call no operator without a GPU."""

    def __init__(self, counter: SyncCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(self, function: Any, types: Any, args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        kind = _copy_kind(function, args, kwargs or {})
        if kind:
            self.counter.record(kind)
        return function(*args, **(kwargs or {}))


def _operator_kind(function: Any, args: tuple, kwargs: dict) -> str | None:
    name = function.overloadpacket.__name__
    if name in ('index', 'index_put', 'index_put_', '_index_put_impl_'):
        masks = any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
        return UNKNOWN_SIZE if masks else None
    if name == 'repeat_interleave':
        return UNKNOWN_SIZE if kwargs.get('output_size') is None else None
    return OPERATORS.get(name)


def _copy_kind(function: Any, args: tuple, kwargs: dict) -> str | None:
    if function is torch.Tensor.to:
        values = (*args[1:], *kwargs.values())
        if not any(isinstance(value, (torch.device, str)) for value in values):
            return None
        return None if kwargs.get('non_blocking') else TO_DEVICE
    if function in (torch.Tensor.cpu, torch.Tensor.tolist):
        return TO_HOST
    if function in (torch.tensor, torch.as_tensor):
        return TO_DEVICE if kwargs.get('device') is not None else None
    if function is torch.Tensor.new_tensor:
        return TO_DEVICE
    if function in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
        index = args[1] if isinstance(args[1], tuple) else (args[1], )
        return TO_DEVICE if any(isinstance(i, (list, range)) for i in index) else None
    return None


@contextlib.contextmanager
def _pair_generation(record: Callable[..., None]) -> Iterator[None]:
    """Report spconv's strided convolutions, because spconv has to count their outputs on a GPU."""
    try:
        from spconv.pytorch import ops
    except ImportError:
        yield
        return
    original = ops.get_indice_pairs, ops.get_indice_pairs_implicit_gemm

    def reporting(function: Callable) -> Callable:
        signature = inspect.signature(function)

        def call(*args: Any, **kwargs: Any) -> Any:
            if not signature.bind(*args, **kwargs).arguments.get('subm', False):
                record("spconv's pairs of a strided convolution", in_spconv=True)
            return function(*args, **kwargs)

        return call

    ops.get_indice_pairs, ops.get_indice_pairs_implicit_gemm = map(reporting, original)
    try:
        yield
    finally:
        ops.get_indice_pairs, ops.get_indice_pairs_implicit_gemm = original


@contextlib.contextmanager
def _debug_mode(record: Callable[[str], None]) -> Iterator[None]:
    """Report the waits that torch detects on a GPU."""

    def show(message: Any, category: Any, *where: Any, **more: Any) -> None:
        if 'synchronizing CUDA operation' in str(message):
            record('wait for the GPU')

    with warnings.catch_warnings():
        warnings.simplefilter('always')
        warnings.showwarning = show
        torch.cuda.set_sync_debug_mode('warn')
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode('default')


def _relative(name: str) -> str:
    path = Path(name)
    if ROOT in path.parents:
        return path.relative_to(ROOT).as_posix()
    return name.rpartition('site-packages/')[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options to a command line."""
    parser.add_argument('config', help='pretraining config')
    parser.add_argument('--batch-size', type=int, default=1, help='scans per step (default: 1)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={},
                        metavar='KEY=VALUE', help='overrides of the config')


def run(cfg: Config, batch_size: int) -> list[dict]:
    """Train four steps like ``tools/train.py``, hooks included, and count the waits of the last.

    Returns:
        Rows of the table: one per place, then the sum.
    """
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    loader = cfg.train_dataloader
    loader.update(batch_size=batch_size, num_workers=0, persistent_workers=False,
                  pin_memory=torch.cuda.is_available())
    cfg.model.image_branch.weights = None
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=STEPS, val_interval=STEPS + 1)
    for name in ('val', 'test'):
        for part in ('cfg', 'dataloader', 'evaluator'):
            cfg.pop(f'{name}_{part}', None)
    cfg.param_scheduler, cfg.log_level = None, 'ERROR'
    cfg.visualizer = dict(type='Visualizer')
    cfg.default_hooks.checkpoint = None
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        runner = Runner.from_cfg(cfg)
        loop, counter = runner.train_loop, SyncCounter()
        run_iter = loop.run_iter

        def counted(batch: Any) -> None:
            with counter if loop.iter == STEPS - 1 else contextlib.nullcontext():
                run_iter(batch)

        loop.run_iter = counted
        runner.train()
    rows = [{'place': f'{sync.file}:{sync.line}', 'line': f'`{sync.text}`', 'what': sync.kind,
             'times': times} for sync, times in sorted(counter.counts.items())]
    return [*rows, {'place': 'sum', 'line': '', 'what': '', 'times': sum(counter.counts.values())}]


def main(args: argparse.Namespace) -> None:
    """Print the table of :func:`run`."""
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    print(markdown_table(run(cfg, args.batch_size)))
