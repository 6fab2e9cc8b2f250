"""OpenPCDet's YAML as arguments of this project's components."""
from __future__ import annotations

from typing import Any


def plain(node: Any) -> Any:
    """A copy of an ``EasyDict`` and all in it as plain dictionaries and lists.

    Components are built from plain dictionaries: an ``EasyDict`` keeps every key twice, and only
    one of them survives when the registry takes out ``type``.

    Example:
        >>> plain(dict(a=(dict(b=1), 2)))
        {'a': [{'b': 1}, 2]}
    """
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [plain(value) for value in node]
    return node
