"""OpenPCDet's command lines, run as they are, with this project's parts registered."""
from __future__ import annotations

import argparse
import copy
import importlib
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, List, Optional, Sequence

from nclr_plugin.datasets.errors import DataLayoutError
from nclr_plugin.errors import one_line_errors
from .host import find_openpcdet
from .pretrained_model import check_pretrained_model
from .registration import register

PATH_FLAGS = ('--cfg_file', '--ckpt', '--pretrained_model', '--ckpt_dir')
PATH_KEYS = ('DATA_CONFIG.DATA_PATH', )  # among those of --set
BASE = '_BASE_CONFIG_'


def run_tool(name: str, argv: Optional[Sequence[str]] = None) -> None:
    """Run ``tools/<name>.py`` of OpenPCDet, with its own flags, from any working directory.

    The tool runs in OpenPCDet's ``tools`` folder, from which the host's YAML names data and other
    YAML. Files of the command line may be named from the current directory or from there; a
    ``_BASE_CONFIG_`` also from the folder of the YAML it stands in. Results are where the host
    writes them: ``output/<path of the YAML>/<name of the YAML>/<extra_tag>`` in its checkout.

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
        # The host opens a _BASE_CONFIG_ from the working directory and has no place to say another.
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


def absolute_paths(argv: Sequence[str], start: Path) -> List[str]:
    """Arguments with the files that exist in ``start`` named absolutely.

    What does not exist there is left to the host, which looks from its ``tools`` folder.
    """
    argv = [part for word in argv for part in _split_flag(word)]
    for place, flag in enumerate(argv[:-1]):
        if flag in PATH_FLAGS + PATH_KEYS and (start / argv[place + 1]).exists():
            argv[place + 1] = str((start / argv[place + 1]).resolve())
    return argv


def config_loader(merge: Callable[[dict, dict], dict],
                  folders: Sequence[Path]) -> Callable[[str, Any], Any]:
    """A ``cfg_from_yaml_file`` that finds every ``_BASE_CONFIG_``, those of a base included.

    Args:
        merge: OpenPCDet's ``merge_new_config``.
        folders: Where a relative ``_BASE_CONFIG_`` may lie, beside the folder of its YAML; the
            first that has it wins.
    """

    def load(cfg_file: str, config: Any) -> Any:
        path = Path(cfg_file)
        if not path.is_file():
            raise FileNotFoundError(f'--cfg_file {cfg_file}: expected a YAML file there or in '
                                    f'{Path.cwd()}, found none.')
        return merge(config, _expand(_read(path), path, folders))

    return load


def _read(path: Path) -> dict:
    import yaml  # of the host's own requirements
    content = yaml.safe_load(path.read_text(encoding='utf-8'))
    if not isinstance(content, dict):
        raise DataLayoutError(f"config '{path}': expected a mapping of keys, found "
                              f'{type(content).__name__}.')
    return content


def _split_flag(word: str) -> List[str]:
    """``--flag=value`` as two words, where the value is a path."""
    flag, equals, value = word.partition('=')
    return [flag, value] if equals and flag in PATH_FLAGS else [word]


def _expand(node: dict, path: Path, folders: Sequence[Path]) -> dict:
    """A mapping of a YAML with the contents of its bases in place of their names."""
    content = {}
    if BASE in node:
        base = _locate(node[BASE], path, folders)
        content = _expand(_read(base), base, folders)
    own = {key: _expand(value, path, folders) if isinstance(value, dict) else value
           for key, value in node.items() if key != BASE}
    return _merge(content, own)


def _locate(name: str, path: Path, folders: Sequence[Path]) -> Path:
    places = [*folders, path.resolve().parent]
    for place in places:
        if (place / name).is_file():
            return place / name
    raise FileNotFoundError(f"{path}: {BASE} '{name}' expected in one of "
                            f"{', '.join(map(str, places))}, found in none; name it from there, or "
                            'absolutely.')


def _merge(base: dict, own: dict) -> dict:
    """Mappings key by key, as the host does; anything else of ``own`` replaces that of ``base``."""
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both else value
    return merged
