"""Syntax trees: gone through step by step, never by recursion.

Jinja's own `find_all` hands every node up through all levels above it, which is quadratic in a text
that is nested deeply.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from jinja2 import nodes

N = TypeVar("N", bound=nodes.Node)
MAX_DEPTH = 150
"""Levels of a tree. Compilers go down it by recursion."""


def walk(root: nodes.Node) -> Iterator[nodes.Node]:
    """Every node below a node, in the order of the text."""
    waiting = _children(root)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += _children(node)


def find_all(root: nodes.Node, kind: type[N]) -> Iterator[N]:
    """Every node of a kind below a node, in the order of the text."""
    return (node for node in walk(root) if isinstance(node, kind))


def is_too_deep(root: nodes.Node) -> bool:
    """Whether a tree has more levels than compilers should go down."""
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def size_of(root: nodes.Node) -> int:
    """How many nodes there are, the root included."""
    return 1 + sum(1 for _ in walk(root))


def copied(value: Any) -> Any:
    """A deep copy of nodes; copy.deepcopy would copy the environment as well."""
    if isinstance(value, list):
        return [copied(each) for each in value]
    if not isinstance(value, nodes.Node):
        return value
    made = object.__new__(type(value))
    for name, held in value.iter_fields():
        setattr(made, name, copied(held))
    made.lineno, made.environment = value.lineno, value.environment
    return made


def _children(node: nodes.Node) -> list[nodes.Node]:
    """The nodes right below a node, the last first."""
    found = list(node.iter_child_nodes())
    found.reverse()
    return found
