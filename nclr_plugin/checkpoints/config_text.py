"""The config that a checkpoint carries as text, read without running it."""
from __future__ import annotations

import ast
from typing import Any, Dict, Optional


def parse_config(text: str) -> Optional[Dict[str, Any]]:
    """Read the values of a config that mmengine has written out.

    Such a text assigns plain values, ``dict(...)`` and lists to names. It is parsed, not run: what
    it would import need not be here.

    Args:
        text: Text of the config, as mmengine keeps it in ``meta['cfg']``.

    Returns:
        Value by name. What is no plain value is left out of dictionaries, and ``None`` in lists.
        ``None`` if the text is no Python.

    Example:
        >>> parse_config("import absent\\nmodel = dict(size=[0.1, -2])\\nf = print('no')")
        {'model': {'size': [0.1, -2]}}
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    values = {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            value = _value(statement.value)
            if value is not _NO_VALUE:
                values[statement.targets[0].id] = value
    return values


_NO_VALUE = object()


def _value(node: ast.AST) -> Any:
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_value(item) for item in node.elts]
        items = [None if item is _NO_VALUE else item for item in items]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.Dict):
        return _known({_value(key): item for key, item in zip(node.keys, node.values)
                       if isinstance(key, ast.Constant)})
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and \
            node.func.id == 'dict' and not node.args:
        return _known({keyword.arg: keyword.value for keyword in node.keywords if keyword.arg})
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):  # as Python writes them
        return float(node.id)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _NO_VALUE


def _known(nodes: Dict[Any, ast.AST]) -> Dict[Any, Any]:
    values = {key: _value(node) for key, node in nodes.items()}
    return {key: value for key, value in values.items() if value is not _NO_VALUE}
