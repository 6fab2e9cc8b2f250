"""Optional dependencies: imported where used, their absence said in one sentence."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Optional


def optional_import(module: str,
                    package: Optional[str] = None,
                    purpose: Optional[str] = None) -> ModuleType:
    """Import a module this package can do without.

    Args:
        module: Dotted name to import, such as ``'scipy.spatial'``.
        package: What ``pip install`` calls it. Defaults to the top-level name of ``module``.
        purpose: What needs it, as the start of a sentence: ``'robust PnP'``.

    Returns:
        The imported module.

    Raises:
        ImportError: When it is not installed, saying what to install; or when it is installed
            but does not import, saying why.

    Example:
        >>> math = optional_import('math', purpose='this example')
        >>> math.floor(1.5)
        1
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(_explain(module, package, purpose, error)) from error


def _explain(module: str, package: Optional[str], purpose: Optional[str],
             error: ImportError) -> str:
    """Return the sentence for a failed import of ``module``."""
    top_level = module.split('.')[0]
    user = purpose or 'this'
    missing = isinstance(error, ModuleNotFoundError) and error.name == top_level
    if missing:
        return f'{user} needs {top_level}, which is not installed: pip install ' \
            f'{package or top_level}'
    return f'{user} needs {module}, which is installed but does not import: {error}'
