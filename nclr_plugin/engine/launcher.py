"""The host's command lines, run as they are, with what this project adds.

``tools/train.py`` and ``tools/test.py`` are mmdet3d's own: its flags, its Runner. Here its scripts
are found, our additions are turned into ``--cfg-options``, and errors that a user can act on become
one line.
"""
from __future__ import annotations

import argparse
import contextlib
import copy
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import set_random_seed

from ..datasets.kitti_infos import check_config
from ..errors import DataLayoutError, one_line_errors
from ..utils.dataset_wrappers import innermost_configs
from .finetuning import checkpoint_options, fraction_options, submission_options

RANDOM = 'none'


def train(argv: Optional[Sequence[str]] = None) -> None:
    """Train: mmdet3d's ``tools/train.py``.

    Additions to it: ``--checkpoint FILE`` starts a fine-tuning from pretrained weights,
    ``--fraction PERCENT`` takes a part of its labels (see :mod:`.finetuning`); ``--amp`` works on
    CPU (bfloat16), and so does ``--launcher``.

    Args:
        argv: Arguments of the command line; default ``sys.argv[1:]``.
    """
    with one_line_errors():
        ours, argv = _train_parser().parse_known_args(argv)
        host = _load_host_tool('train')
        args = _parse_by_host(host, argv)
        options = {}
        if ours.fraction is not None:
            options.update(fraction_options(_load_config(args), ours.fraction))
        if ours.checkpoint is not None:
            options.update(checkpoint_options(_load_config(args), ours.checkpoint))
        config = _load_config(args, options)
        _require_infos(config, 'train_dataloader', 'val_dataloader')
        options.update(_distributed_on_cpu(args))
        options.update(_without_workers(config))
        options['default_hooks.schedule_end.type'] = 'ScheduleEndHook'
        if args.amp and get_device() == 'cpu':
            args.amp = False
            options['optim_wrapper.type'] = 'Bfloat16OptimWrapper'
        _run_host(host, args, options)


def test(argv: Optional[Sequence[str]] = None) -> None:
    """Test: mmdet3d's ``tools/test.py``.

    Additions to it: the checkpoint ``none`` stands for the random initialisation; a checkpoint of
    another model is refused; ``--show-dir DIR`` writes pictures to DIR, a folder for each kind;
    ``--mismatched-image-control`` also tests every scan with the images of another scene, see
    :class:`~nclr_plugin.datasets.CalibrationDataset`; ``--submission DIR`` predicts the hidden test
    set of a fine-tuning config into DIR, in its benchmark's form; ``--launcher`` works on CPU.

    Args:
        argv: Arguments of the command line; default ``sys.argv[1:]``.
    """
    with one_line_errors(), tempfile.TemporaryDirectory() as folder:
        ours, argv = _test_parser().parse_known_args(argv)
        host = _load_host_tool('test')
        args = _parse_by_host(host, argv)
        options = {**_distributed_on_cpu(args), **_without_workers(_load_config(args))}
        options['default_hooks.checkpoint_guard.type'] = 'CheckpointGuardHook'
        if ours.show_dir:
            options['default_hooks.pictures.type'] = 'PictureHook'
            options['default_hooks.pictures.out_dir'] = ours.show_dir
        if args.checkpoint == RANDOM:
            print('No checkpoint: the model is tested at its random initialisation.')
            args.checkpoint = _save_random_model(args, Path(folder) / 'random_initialisation.pth')
        elif not Path(args.checkpoint).is_file():
            raise FileNotFoundError(f'{args.checkpoint}: no such checkpoint; give a .pth file, or '
                                    f'{RANDOM} for the random initialisation')
        if args.tta:
            _require_tta(args)
        if ours.submission:
            options.update(submission_options(_load_config(args), ours.submission))
        _require_infos(_load_config(args, options), 'test_dataloader')
        _run_host(host, args, options, ours.mismatched_image_control)


def _train_parser() -> argparse.ArgumentParser:
    """Return our own flags of training; all others are left for mmdet3d."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--fraction', type=float)
    parser.add_argument('--checkpoint')
    return parser


def _test_parser() -> argparse.ArgumentParser:
    """Return our own flags of testing; all others are left for mmdet3d."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--show-dir')
    parser.add_argument('--mismatched-image-control', action='store_true')
    parser.add_argument('--submission')
    return parser


def _load_host_tool(name: str) -> ModuleType:
    """Import a script of mmdet3d, which lie beside its package or inside it (``.mim``)."""
    spec = importlib.util.find_spec('mmdet3d')
    if spec is None or spec.origin is None:
        raise ImportError(f'tools/{name}.py runs on mmdet3d, which is not installed: '
                          "pip install -e '.[mmdet3d]', or bash tools/quickstart.sh for an "
                          'environment of its own')
    package = Path(spec.origin).parent
    scripts = [folder / 'tools' / f'{name}.py' for folder in (package / '.mim', package.parent)]
    script = next((path for path in scripts if path.is_file()), None)
    if script is None:
        raise FileNotFoundError(f'mmdet3d has no {name}.py at {scripts[0]} or {scripts[1]}; '
                                "install it by: pip install 'nclr_plugin[light]'")
    spec = importlib.util.spec_from_file_location(f'mmdet3d_tools_{name}', script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _parse_by_host(host: ModuleType, argv: List[str]) -> argparse.Namespace:
    """Arguments as the host reads them."""
    with _command_line(argv):
        args = host.parse_args()
    if not Path(args.config).is_file():
        raise FileNotFoundError(f'{args.config}: no such config; the configs of this project are '
                                'in configs/, e.g. configs/nclr/pretrain_semantickitti.py')
    return args


def _run_host(host: ModuleType, args: argparse.Namespace, options: Dict[str, Any],
              mismatched_image_control: bool = False) -> None:
    """Run the host with its arguments, and a config with options added.

    Both are handed over as they are, not as words of a command line, in which a name with spaces,
    commas or brackets would become something else. Options of the user override ours.

    The text of the config is not formatted: the Runner writes it into its logs, its folder and
    every checkpoint, and each time has yapf format it, for seconds where a config inherits a long
    one. Without, the text is the same Python with other line breaks. ``Config.fromfile`` takes
    ``format_python_code`` but passes it on for lazy configs only, hence the attribute; a version
    that does not know it formats.
    """

    class ChangedConfig(Config):
        """What the host's script reads its config with."""

        @staticmethod
        def fromfile(*arguments: Any, **kwargs: Any) -> Config:
            config = Config.fromfile(*arguments, **kwargs)
            object.__setattr__(config, '_format_python_code', False)
            config.merge_from_dict(copy.deepcopy(options))
            if mismatched_image_control:
                for dataset in innermost_configs(config.test_dataloader.dataset):
                    dataset.mismatched_image_control = True
            return config

    host.Config = ChangedConfig
    host.parse_args = lambda: args
    host.main()


def _require_tta(args: argparse.Namespace) -> None:
    absent = [name for name in ('tta_model', 'tta_pipeline') if name not in _load_config(args)]
    if absent:
        raise DataLayoutError(f"{args.config}: --tta expects 'tta_model' and 'tta_pipeline' in the "
                              f'config, found no {" and no ".join(absent)}; those of '
                              "mmdet3d's configs/_base_/datasets/semantickitti.py are an example")


def _require_infos(config: Config, *loaders: str) -> None:
    """Say what to do about infos that are not there or not complete, before the host reads them."""
    for loader in loaders:
        for dataset in innermost_configs((config.get(loader) or {}).get('dataset') or {}):
            path = os.path.join(dataset.get('data_root') or '', dataset.get('ann_file') or '')
            if not dataset.get('ann_file') or '://' in path:
                continue
            if dataset['type'] == 'KittiDataset':
                check_config(dataset)
            elif not os.path.isfile(path):
                raise FileNotFoundError(
                    f'{path}: expected the info file of {loader}, found none; write it by '
                    'tools/create_infos.py, whose --fractions are what --fraction can be (a '
                    "fraction that selects no frame has none), or by mmdet3d's create_data.py")


def _distributed_on_cpu(args: argparse.Namespace) -> Dict[str, Any]:
    """Join the processes without a GPU, and what the host's Runner needs to be told then.

    The host would select a CUDA device first; it leaves a process group alone that is there.
    """
    if args.launcher == 'none' or get_device() != 'cpu':
        return {}
    if args.launcher != 'pytorch':
        raise OSError(f'--launcher {args.launcher} needs GPUs; without, start the processes by '
                      'torchrun with --launcher pytorch')
    config = _load_config(args)
    if config.get('sync_bn'):
        raise OSError(f'sync_bn={config.sync_bn}: needs GPUs, torch shares the statistics of '
                      'BatchNorm on no CPU; leave it out')
    torch.distributed.init_process_group('gloo')
    return {
        'model_wrapper_cfg.type': 'MMDistributedDataParallel',
        'model_wrapper_cfg.device_ids': None,
        'model_wrapper_cfg.broadcast_buffers': False,
        'model_wrapper_cfg.find_unused_parameters': config.get('find_unused_parameters', False),
    }


def _without_workers(config: Config) -> Dict[str, Any]:
    """No workers that persist where there are none: the configs ask for it, torch refuses it."""
    options = {}
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = config.get(name) or {}
        if loader.get('persistent_workers') and not loader.get('num_workers'):
            options[f'{name}.persistent_workers'] = False
    return options


def _load_config(args: argparse.Namespace, options: Optional[Dict[str, Any]] = None) -> Config:
    """Config with options of ours (merging changes them, hence the copy), then of the user."""
    config = Config.fromfile(args.config)
    config.merge_from_dict(copy.deepcopy(options or {}))
    config.merge_from_dict(args.cfg_options or {})
    return config


def _save_random_model(args: argparse.Namespace, path: Path) -> str:
    """Save the model as it is before training, the same in every process."""
    config = _load_config(args)
    init_default_scope(config.get('default_scope', 'mmengine'))
    set_random_seed(config.get('randomness', {}).get('seed') or 0)
    model = MODELS.build(config.model)
    model.init_weights()
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return str(path)


@contextlib.contextmanager
def _command_line(argv: List[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = [before[0], *argv]
    try:
        yield
    finally:
        sys.argv = before
