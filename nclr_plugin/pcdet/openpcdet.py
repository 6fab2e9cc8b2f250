"""Find and import OpenPCDet, and read its configs."""
from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

ROOT_VARIABLE = 'OPENPCDET_ROOT'
HOW_TO_GET = (f'set {ROOT_VARIABLE} to a checkout of https://github.com/open-mmlab/OpenPCDet, or '
              'install OpenPCDet from its checkout (python setup.py develop)')


def find_openpcdet() -> Path:
    """Find the checkout of OpenPCDet, since its ``tools`` are not part of its package.

    Returns:
        Folder given by ``OPENPCDET_ROOT``, or else the folder of the installed package.

    Raises:
        FileNotFoundError: If the folder has no ``tools/train.py``.
        ImportError: If the variable is not set and the package is not installed.
    """
    named = os.environ.get(ROOT_VARIABLE)
    if named:
        root = Path(named).expanduser().resolve()
        if not (root / 'tools' / 'train.py').is_file():
            raise FileNotFoundError(f"{ROOT_VARIABLE} is '{named}': expected OpenPCDet's checkout "
                                    'with tools/train.py there, found none; ' + HOW_TO_GET)
        return root
    spec = importlib.util.find_spec('pcdet')
    if spec is None or spec.origin is None:
        raise ImportError(f'OpenPCDet is not found: {HOW_TO_GET}')
    root = Path(spec.origin).resolve().parents[1]
    if not (root / 'tools' / 'train.py').is_file():
        raise FileNotFoundError(f"OpenPCDet is installed in '{root}', without its tools: expected "
                                f'tools/train.py beside the package, found none; {HOW_TO_GET}')
    return root


def import_openpcdet() -> None:
    """Import OpenPCDet's models and data sets, from ``OPENPCDET_ROOT`` if it is set.

    Raises:
        FileNotFoundError: See :func:`find_openpcdet`.
        ImportError: If OpenPCDet is missing, not built, or lacks a package. The message is one
            sentence.
    """
    if os.environ.get(ROOT_VARIABLE):
        root = str(find_openpcdet())
        if root not in sys.path:
            sys.path.insert(0, root)
    for name in ('pcdet.datasets', 'pcdet.models'):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ImportError(_explain(error)) from error


def plain(node: Any) -> Any:
    """Convert an ``EasyDict`` of OpenPCDet's YAML to plain dictionaries and lists.

    The registries need plain dictionaries: an ``EasyDict`` stores every key twice, and only one
    copy is removed when the registry pops ``type``.

    Example:
        >>> plain(dict(a=(dict(b=1), 2)))
        {'a': [{'b': 1}, 2]}
    """
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [plain(value) for value in node]
    return node


def _explain(error: ImportError) -> str:
    """Explain a failed import of OpenPCDet in one sentence."""
    missing = error.name or ''
    if missing == 'pcdet':
        return f'OpenPCDet is not found: {HOW_TO_GET}'
    # setup.py writes pcdet/version.py and compiles pcdet/ops. A library built for another torch
    # fails to load, and the error may not name a module.
    if missing.startswith('pcdet.') or 'undefined symbol' in str(error):
        return (f"OpenPCDet in '{find_openpcdet()}' is not built for this environment ({error}): "
                'run `python setup.py develop` there, which needs nvcc')
    return (f'OpenPCDet needs {missing or "a package"}, which does not import ({error}): '
            "pip install 'nclr_plugin[pcdet]'")
