"""Import optional dependencies, with a clear error if they are absent."""
from __future__ import annotations

import importlib
from types import ModuleType


def optional_import(module: str,
                    package: str | None = None,
                    purpose: str | None = None) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: Dotted name to import, such as ``'scipy.spatial'``.
        package: Name for ``pip install``; default: the top-level name of ``module``.
        purpose: Feature that needs it, for the message, such as ``'robust PnP'``.

    Returns:
        The imported module.

    Raises:
        ImportError: If the module is not installed, with the command that installs it, or cannot
            be imported, with the reason.

    Example:
        >>> math = optional_import('math', purpose='this example')
        >>> math.floor(1.5)
        1
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(_explain(module, package, purpose, error)) from error


def _explain(module: str, package: str | None, purpose: str | None,
             error: ImportError) -> str:
    """Return the sentence for a failed import of ``module``."""
    top_level = module.split('.')[0]
    user = purpose or 'this'
    missing = isinstance(error, ModuleNotFoundError) and error.name == top_level
    if missing:
        return f'{user} needs {top_level}, which is not installed: pip install ' \
            f'{package or top_level}'
    return f'{user} needs {module}, which is installed but does not import: {error}'
