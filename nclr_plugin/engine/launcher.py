"""Run mmdet3d's ``tools/train.py`` and ``tools/test.py`` with additional options.

The scripts of mmdet3d run unchanged, with their flags and their Runner. Additional options become
overrides of the config, and user errors are printed in one line.
"""
from __future__ import annotations

import contextlib
import copy
import importlib.util
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator, Sequence

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import set_random_seed

from ..datasets.kitti_infos import require_infos
from ..errors import DataLayoutError, one_line_errors
from ..utils.dataset_wrappers import innermost_configs
from .finetuning import checkpoint_options, fraction_options, submission_options

RANDOM = 'none'
LOADERS = 'train_dataloader', 'val_dataloader', 'test_dataloader'


def train(argv: Sequence[str], fraction: float | None = None, checkpoint: str | None = None,
          more_help: str = '') -> None:
    """Run mmdet3d's ``tools/train.py``.

    ``--amp`` (bfloat16) and ``--launcher`` work on the CPU, too.

    Args:
        argv: Arguments of mmdet3d's script.
        fraction: Percentage of the labels of a fine-tuning to use; see :mod:`.finetuning`.
        checkpoint: File of pretrained weights from which a fine-tuning starts.
        more_help: Text to print after the help of mmdet3d's script.
    """
    with one_line_errors():
        script = load_script('train')
        args = _parse_args(script, argv, more_help)
        config, options = _load_config(args), {}
        if fraction is not None:
            options.update(fraction_options(config, fraction))
        if checkpoint is not None:
            options.update(checkpoint_options(config, checkpoint))
        config = _load_config(args, options)
        require_infos(config, 'train_dataloader', 'val_dataloader')
        options.update(distributed_on_cpu(args))
        options.update(_without_workers(config))
        options.update(_voxels_in_workers(config))
        if get_device() == 'cuda':  # so that copies to it are asynchronous
            options['train_dataloader.pin_memory'] = True
        options['default_hooks.schedule_end.type'] = 'ScheduleEndHook'
        if args.amp and get_device() == 'cpu':
            args.amp = False
            options['optim_wrapper.type'] = 'Bfloat16OptimWrapper'
        run_script(script, args, options)


def test(argv: Sequence[str], show_dir: str | None = None, mismatched_image_control: bool = False,
         submission: str | None = None, more_help: str = '') -> None:
    """Run mmdet3d's ``tools/test.py``.

    The checkpoint ``none`` is the random initialisation, checkpoints of other models are refused,
    and ``--launcher`` works on the CPU, too.

    Args:
        argv: Arguments of mmdet3d's script.
        show_dir: Folder to write pictures to, in a folder per kind.
        mismatched_image_control: Also test every scan with the images of another scene, see
            :class:`~nclr_plugin.datasets.CalibrationDataset`.
        submission: Folder to write predictions for the hidden test set of a fine-tuning config to,
            in the format of its benchmark.
        more_help: Text to print after the help of mmdet3d's script.
    """
    with one_line_errors(), tempfile.TemporaryDirectory() as folder:
        script = load_script('test')
        args = _parse_args(script, argv, more_help)
        config = _load_config(args)
        options = {**distributed_on_cpu(args), **_without_workers(config),
                   **_voxels_in_workers(config)}
        options['default_hooks.checkpoint_guard.type'] = 'CheckpointGuardHook'
        if show_dir:
            options['default_hooks.pictures.type'] = 'PictureHook'
            options['default_hooks.pictures.out_dir'] = show_dir
        if args.checkpoint == RANDOM:
            print('No checkpoint: the model is tested at its random initialisation.')
            args.checkpoint = _save_random_model(args, Path(folder) / 'random_initialisation.pth')
        elif not Path(args.checkpoint).is_file():
            raise FileNotFoundError(f'{args.checkpoint}: no such checkpoint; give a .pth file, or '
                                    f'{RANDOM} for the random initialisation')
        if args.tta:
            _require_tta(args.config, config)
        if submission:
            options.update(submission_options(config, submission))
        require_infos(_load_config(args, options), 'test_dataloader')
        run_script(script, args, options, mismatched_image_control)


def load_script(name: str) -> ModuleType:
    """Import a script of mmdet3d, which lies beside its package or inside it (``.mim``)."""
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


def _parse_args(script: ModuleType, argv: Sequence[str], more_help: str) -> Namespace:
    """Parse the arguments of mmdet3d's script; after its help, print that of our own flags."""
    try:
        with command_line(argv):
            args = script.parse_args()
    except SystemExit as exit_:
        if not exit_.code:  # --help
            print('\n' + more_help, end='')
        raise
    if not Path(args.config).is_file():
        raise FileNotFoundError(f'{args.config}: no such config; the configs of this project are '
                                'in configs/, e.g. configs/nclr/nclr_minkunet34_semantickitti.py')
    return args


def run_script(script: ModuleType, args: Namespace, options: dict[str, Any],
               mismatched_image_control: bool = False) -> None:
    """Run a script of mmdet3d with parsed arguments and a config with options.

    Arguments and options are passed as objects, because a command line would split names with
    spaces, commas or brackets. Options of the user override ours.

    The text of the config is not formatted: yapf takes seconds for a long config, each time the
    Runner writes it to a log, its folder or a checkpoint. Unformatted, only line breaks differ.
    ``Config.fromfile`` respects ``format_python_code`` for lazy configs only, hence the attribute;
    versions of mmengine without it format.
    """

    class ChangedConfig(Config):
        """Config with options, which the script loads in place of its own."""

        @staticmethod
        def fromfile(*arguments: Any, **kwargs: Any) -> Config:
            config = Config.fromfile(*arguments, **kwargs)
            object.__setattr__(config, '_format_python_code', False)
            config.merge_from_dict(copy.deepcopy(options))
            if mismatched_image_control:
                for dataset in innermost_configs(config.test_dataloader.dataset):
                    dataset.mismatched_image_control = True
            return config

    script.Config = ChangedConfig
    script.parse_args = lambda: args
    script.main()


def _require_tta(path: str, config: Config) -> None:
    """Raise if the config has no test-time augmentation."""
    absent = [name for name in ('tta_model', 'tta_pipeline') if name not in config]
    if absent:
        raise DataLayoutError(f"{path}: --tta expects 'tta_model' and 'tta_pipeline' in the "
                              f'config, found no {" and no ".join(absent)}; those of '
                              "mmdet3d's configs/_base_/datasets/semantickitti.py are an example")


def distributed_on_cpu(args: Namespace) -> dict[str, Any]:
    """Initialise distributed training without a GPU, and return the options for it.

    mmengine would select a CUDA device first; it keeps an existing process group.
    """
    if args.launcher == 'none' or get_device() != 'cpu':
        return {}
    if args.launcher != 'pytorch':
        raise OSError(f'--launcher {args.launcher} needs GPUs; without, start the processes by '
                      'torchrun with --launcher pytorch')
    config = _load_config(args)
    if config.get('sync_bn'):
        raise OSError(f'sync_bn={config.sync_bn}: needs GPUs, torch does not synchronise '
                      'BatchNorm on the CPU; leave it out')
    torch.distributed.init_process_group('gloo')
    return {
        'model_wrapper_cfg.type': 'MMDistributedDataParallel',
        'model_wrapper_cfg.device_ids': None,
        'model_wrapper_cfg.broadcast_buffers': False,
        'model_wrapper_cfg.find_unused_parameters': config.get('find_unused_parameters', False),
    }


def _without_workers(config: Config) -> dict[str, Any]:
    """Disable ``persistent_workers`` where there are no workers, which torch would refuse."""
    options = {}
    for name in LOADERS:
        loader = config.get(name) or {}
        if loader.get('persistent_workers') and not loader.get('num_workers'):
            options[f'{name}.persistent_workers'] = False
    return options


def _voxels_in_workers(config: Config) -> dict[str, Any]:
    """Let the workers of the loaders voxelise the scans of a calibration network on a CPU."""
    preprocessor = (config.get('model') or {}).get('data_preprocessor') or {}
    if (get_device() != 'cpu' or preprocessor.get('type') != 'CalibrationDataPreprocessor'
            or 'voxel_size' not in preprocessor):
        return {}
    options = {}
    for name in LOADERS:
        loader = config.get(name) or {}
        if loader.get('num_workers') and loader.get('collate_fn', {}).get(
                'type') == 'pseudo_collate':
            options[f'{name}.collate_fn.type'] = 'voxel_collate'
            options[f'{name}.collate_fn.voxel_size'] = preprocessor.voxel_size
    return options


def _load_config(args: Namespace, options: dict[str, Any] | None = None) -> Config:
    """Load the config with our options (copied, as merging changes them), then the user's."""
    config = Config.fromfile(args.config)
    config.merge_from_dict(copy.deepcopy(options or {}))
    config.merge_from_dict(args.cfg_options or {})
    return config


def _save_random_model(args: Namespace, path: Path) -> str:
    """Save the randomly initialised model, which is the same in every process."""
    config = _load_config(args)
    init_default_scope(config.get('default_scope', 'mmengine'))
    set_random_seed(config.get('randomness', {}).get('seed') or 0)
    model = MODELS.build(config.model)
    model.init_weights()
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return str(path)


@contextlib.contextmanager
def command_line(argv: Sequence[str]) -> Iterator[None]:
    """Replace the arguments of the command line temporarily."""
    before = sys.argv
    sys.argv = [before[0], *argv]
    try:
        yield
    finally:
        sys.argv = before
