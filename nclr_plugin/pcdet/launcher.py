"""Run OpenPCDet's tools with this project's parts registered."""
from __future__ import annotations

import argparse
import copy
import importlib
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Sequence

from ..errors import DataLayoutError, one_line_errors
from .host import find_openpcdet
from .pretrained_model import check_pretrained_model
from .registration import register

PATH_FLAGS = ('--cfg_file', '--ckpt', '--pretrained_model', '--ckpt_dir')
PATH_KEYS = ('DATA_CONFIG.DATA_PATH', )  # among those of --set
BASE = '_BASE_CONFIG_'


def run_tool(name: str, argv: Sequence[str] | None = None) -> None:
    """Run ``tools/<name>.py`` of OpenPCDet, with its own flags, from any working directory.

    The tool runs in OpenPCDet's ``tools`` folder, from which its YAML names data and other YAML.
    Paths on the command line may be relative to the current directory or to that folder; a
    ``_BASE_CONFIG_`` also to the folder of its YAML. Results are where OpenPCDet writes them:
    ``output/<path of the YAML>/<name of the YAML>/<extra_tag>`` in its checkout.

    Args:
        name: ``'train'`` or ``'test'``.
        argv: Arguments of the command line; default ``sys.argv[1:]``.
    """
    with one_line_errors():
        tools = find_openpcdet() / 'tools'
        start = Path.cwd()
        argv = absolute_paths(sys.argv[1:] if argv is None else argv, start)
        register()
        config = importlib.import_module('pcdet.config')
        # OpenPCDet opens a _BASE_CONFIG_ relative to the working directory only.
        config.cfg_from_yaml_file = config_loader(config.merge_new_config, [tools, start])
        script = tools / f'{name}.py'
        sys.argv = [str(script), *argv]
        sys.path.insert(0, str(tools))  # its scripts import each other
        os.chdir(tools)
        if name == 'train':
            _check_pretrained_model(argv, config)
        runpy.run_path(str(script), run_name='__main__')


def _check_pretrained_model(argv: Sequence[str], host_config: ModuleType) -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--cfg_file')
    parser.add_argument('--pretrained_model')
    parser.add_argument('--set', nargs=argparse.REMAINDER, default=[])
    args, _ = parser.parse_known_args(argv)
    if args.cfg_file and args.pretrained_model:
        config = copy.deepcopy(host_config.cfg)
        host_config.cfg_from_yaml_file(args.cfg_file, config)
        host_config.cfg_from_list(args.set, config)
        check_pretrained_model(args.pretrained_model, config)


def absolute_paths(argv: Sequence[str], start: Path) -> list[str]:
    """Make the paths of arguments absolute where the files exist in ``start``.

    Other paths are left to OpenPCDet, which looks in its ``tools`` folder.
    """
    argv = [part for word in argv for part in _split_flag(word)]
    for index, flag in enumerate(argv[:-1]):
        if flag in PATH_FLAGS + PATH_KEYS and (start / argv[index + 1]).exists():
            argv[index + 1] = str((start / argv[index + 1]).resolve())
    return argv


def config_loader(merge: Callable[[dict, dict], dict],
                  folders: Sequence[Path]) -> Callable[[str, Any], Any]:
    """Return a ``cfg_from_yaml_file`` that finds every ``_BASE_CONFIG_``, also those of a base.

    Args:
        merge: OpenPCDet's ``merge_new_config``.
        folders: Folders to look for a relative ``_BASE_CONFIG_`` in, before the folder of its YAML;
            the first one with the file wins.
    """

    def load(cfg_file: str, config: Any) -> Any:
        path = Path(cfg_file)
        if not path.is_file():
            raise FileNotFoundError(f'--cfg_file {cfg_file}: expected a YAML file there or in '
                                    f'{Path.cwd()}, found none.')
        return merge(config, _expand(_read(path), path, folders))

    return load


def _read(path: Path) -> dict:
    import yaml  # one of OpenPCDet's own requirements
    content = yaml.safe_load(path.read_text(encoding='utf-8'))
    if not isinstance(content, dict):
        raise DataLayoutError(f"config '{path}': expected a mapping of keys, found "
                              f'{type(content).__name__}.')
    return content


def _split_flag(word: str) -> list[str]:
    """Split ``--flag=value`` into two words where the value is a path."""
    flag, equals, value = word.partition('=')
    return [flag, value] if equals and flag in PATH_FLAGS else [word]


def _expand(node: dict, path: Path, folders: Sequence[Path]) -> dict:
    """Replace the names of bases in the mapping of a YAML by their contents."""
    content = {}
    if BASE in node:
        base = _locate(node[BASE], path, folders)
        content = _expand(_read(base), base, folders)
    own = {key: _expand(value, path, folders) if isinstance(value, dict) else value
           for key, value in node.items() if key != BASE}
    return _merge(content, own)


def _locate(name: str, path: Path, folders: Sequence[Path]) -> Path:
    folders = [*folders, path.resolve().parent]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{path}: {BASE} '{name}' expected in one of "
                            f"{', '.join(map(str, folders))}, found in none; name it from "
                            'there, or absolutely.')


def _merge(base: dict, own: dict) -> dict:
    """Merge mappings key by key, as OpenPCDet does; else ``own`` replaces ``base``."""
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both else value
    return merged
