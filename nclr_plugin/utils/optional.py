"""Optional dependencies: imported where used, their absence said in one sentence."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Optional

from mmengine.registry import Registry


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


def register_placeholder(registry: Registry,
                         name: str,
                         module: str,
                         package: Optional[str] = None,
                         purpose: Optional[str] = None) -> None:
    """Register a name whose real class needs a module that cannot be imported here.

    A config that names the class then fails when it is built, with the sentence of
    :func:`optional_import`, rather than with "not in the registry".

    Args:
        registry: Where the real class would have been registered.
        name: Name of the real class.
        module: The missing module.
        package: What ``pip install`` calls it. Defaults to the top-level name of ``module``.
        purpose: What needs it. Defaults to ``name``.

    Raises:
        KeyError: When ``name`` is already registered.

    Example:
        >>> try:
        ...     from .segmentor import HostSegmentor
        ... except ImportError:
        ...     register_placeholder(MODELS, 'HostSegmentor', 'mmdet3d')
    """

    def fail(self, *args, **kwargs):
        optional_import(module, package, purpose or name)
        raise ImportError(f'{name} was registered while {module} could not be imported; it can '
                          'be now: import nclr_plugin in a new process.')

    placeholder = type(name, (), {'__init__': fail, '__doc__': f'Needs {module}.'})
    registry.register_module(name=name, module=placeholder)


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
