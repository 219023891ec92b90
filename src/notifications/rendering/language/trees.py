"""Walks syntax trees iteratively, never by recursion.

Jinja's own `find_all` passes every node up through all levels above it, which takes quadratic time
in a deeply nested text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from jinja2 import nodes

N = TypeVar("N", bound=nodes.Node)
MAX_DEPTH = 150
"""The most levels of a tree: compilers descend it by recursion."""


def walk(root: nodes.Node) -> Iterator[nodes.Node]:
    """Yields every node below a node, in the order of the text."""
    waiting = _children(root)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += _children(node)


def find_all(root: nodes.Node, kind: type[N]) -> Iterator[N]:
    """Yields every node of a kind below a node, in the order of the text."""
    return (node for node in walk(root) if isinstance(node, kind))


def is_too_deep(root: nodes.Node) -> bool:
    """Returns whether a tree has more than MAX_DEPTH levels."""
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def size_of(root: nodes.Node) -> int:
    """Returns the number of nodes, including the root."""
    return 1 + sum(1 for _ in walk(root))


def copied(value: Any) -> Any:
    """Returns a deep copy of nodes; copy.deepcopy would also copy the environment."""
    if isinstance(value, list):
        return [copied(each) for each in value]
    if not isinstance(value, nodes.Node):
        return value
    made = object.__new__(type(value))
    for name, field in value.iter_fields():
        setattr(made, name, copied(field))
    made.lineno, made.environment = value.lineno, value.environment
    return made


def _children(node: nodes.Node) -> list[nodes.Node]:
    """Returns the direct children of a node, the last first."""
    found = list(node.iter_child_nodes())
    found.reverse()
    return found
