"""Optional dependencies: imports with a clear error, and lazy registration of classes."""
from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from mmengine.registry import Registry


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


class _LazyClass(type):
    """Metaclass of placeholders: calls and type checks refer to the actual class."""

    def load(cls) -> type:
        """Import the class, and register it in place of the placeholder.

        Raises:
            ImportError: If a package that it needs is not installed; the message names it.
        """
        for module, package in cls.needs:
            optional_import(module, package, cls.__name__)
        loaded = getattr(importlib.import_module(cls.__module__), cls.__name__)
        cls.registry.register_module(name=cls.__name__, module=loaded, force=True)
        return loaded

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.load()(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.load())

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.load())


def register_lazily(registry: Registry, name: str, module: str,
                    *needs: tuple[str, str | None]) -> type:
    """Register a class by name; import its module when the class is first built or compared.

    Args:
        registry: Registry to add it to, such as mmengine's ``MODELS``.
        name: Name of the class, also in the registry.
        module: Full name of its module.
        needs: Modules that it imports, each with its name for pip (``None``: the same). The error
            names an absent one.

    Returns:
        Placeholder: it builds the class, and ``isinstance`` and ``issubclass`` refer to the class.

    Example:
        >>> from mmengine.registry import Registry
        >>> COUNTERS = Registry('counter')
        >>> OrderedDict = register_lazily(COUNTERS, 'OrderedDict', 'collections')
        >>> COUNTERS.build(dict(type='OrderedDict', apples=3))
        OrderedDict([('apples', 3)])
    """
    placeholder = _LazyClass(name, (), dict(
        __module__=module, __doc__=f'``{module}.{name}``, imported when it is first used.',
        registry=registry, needs=needs))
    registry.register_module(name=name, module=placeholder)
    return placeholder
