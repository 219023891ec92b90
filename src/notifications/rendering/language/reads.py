"""Finds which variables of the context a text reads, with their entries: `order.id`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jinja2 import nodes

MAX_STEPS = 10
"""The longest chain of entries that is reported: `a.b.c...`."""
_DEFAULT = ("default", "d")
_CHECKS = ("defined", "undefined", *_DEFAULT)
"""Tests and filters that accept a missing variable."""


def dotted_reads(tree: nodes.Template, free: Iterable[str]) -> frozenset[str]:
    """Returns the reads of free variables, as far as the template names the entries.

    `{{ order.lines[0].price }}` reads `order.lines`, because the rest has no name. A variable that
    is passed as a whole (`{{ order|tojson }}`) is read as `order`.
    """
    wanted = frozenset(free)
    found: set[str] = set()
    waiting: list[tuple[nodes.Node, tuple[str, ...]]] = [(tree, ())]
    while waiting:
        node, tail = waiting.pop()
        if isinstance(node, nodes.Name):
            if node.ctx == "load" and node.name in wanted:
                found.add(".".join((node.name, *tail[:MAX_STEPS])))
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
            # A method call such as order.items() reads the value, not an entry of it.
            waiting += [(each, ()) for each in node.iter_child_nodes(exclude=("node",))]
            waiting.append((node.node.node, ()))
        elif isinstance(node, nodes.Getattr | nodes.Getitem) and (step := _step(node)):
            waiting.append((node.node, (step, *tail)))
        else:
            waiting += [(each, ()) for each in node.iter_child_nodes()]
    return frozenset(found)


def _step(node: nodes.Getattr | nodes.Getitem) -> str:
    """Returns the name of the entry that is read; empty when it is computed or a number."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    key = node.arg.value if isinstance(node.arg, nodes.Const) else None
    return key if isinstance(key, str) and key.isidentifier() else ""


def bare_reads(tree: nodes.Template, root: str) -> frozenset[str]:
    """Returns the entries of a variable without which a text fails, such as `user.first_name`.

    An entry with a `default`, or whose presence a condition checks, does not count. Every branch
    of a condition on the variable counts as checked.
    """
    found: set[str] = set()
    checking = _checking(tree, root)
    waiting: list[nodes.Node] = [tree]
    while waiting:
        node = waiting.pop()
        if entry := _entry(node, root):
            found.add(entry)
        elif isinstance(node, nodes.Filter) and node.name in _DEFAULT:
            # Where an entry of the root is missing, only the argument of `default` is read.
            is_entry = node.node is not None and bool(_entry(node.node, root))
            waiting += node.iter_child_nodes(exclude=("node",) if is_entry else ("args", "kwargs"))
        elif isinstance(node, nodes.Call) and _entry(node.node, root):
            waiting += node.iter_child_nodes(exclude=("node",))  # a method call: user.items()
        elif not any(id(each) in checking for each in _conditions(node)):
            waiting += node.iter_child_nodes()
    return frozenset(found)


def _entry(node: nodes.Node, root: str) -> str:
    """Returns `user.first_name` for a node that is an entry of the root; else an empty text."""
    if not isinstance(node, nodes.Getattr | nodes.Getitem):
        return ""
    step = _step(node)
    is_root = isinstance(node.node, nodes.Name) and node.node.name == root
    return f"{root}.{step}" if is_root and step else ""


def _conditions(node: nodes.Node) -> list[nodes.Node]:
    """Returns the conditions that are checked before a part of the node is read."""
    if isinstance(node, nodes.If):
        return [node.test, *(each.test for each in node.elif_)]
    if isinstance(node, nodes.CondExpr):
        return [node.test]
    if isinstance(node, nodes.And | nodes.Or):
        return [node.left]
    return [node] if isinstance(node, nodes.Test) else []


def _checking(tree: nodes.Node, root: str) -> set[int]:
    """Returns the nodes, by id(), that check the root or an entry of it rather than only read it.

    Each node is visited once, the innermost first: conditions contain conditions.
    """
    order: list[nodes.Node] = [tree]
    for node in order:
        order += node.iter_child_nodes()
    found: set[int] = set()
    for node in reversed(order):
        if isinstance(node, nodes.Name):
            checks = node.name == root
        elif isinstance(node, nodes.Test | nodes.Filter) and node.name in _CHECKS:
            checks = node.node is not None and bool(_entry(node.node, root))
        else:
            checks = not _entry(node, root) and any(
                id(each) in found for each in node.iter_child_nodes()
            )
        if checks:
            found.add(id(node))
    return found


class Names:
    """A set of dotted names. A lookup costs time in proportion to the length of a name."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._beginnings = frozenset(each for name in self._names for each in _beginnings(name))

    def covers(self, name: str) -> bool:
        """Returns whether a name equals, contains or is contained in one of these names."""
        return name in self._beginnings or any(each in self._names for each in _beginnings(name))


def _beginnings(name: str) -> Iterator[str]:
    """Yields a name and its prefixes: `order.lines.price`, `order.lines`, `order`."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def covers(name: str, read: str) -> bool:
    """Returns whether a declared name equals, contains or is contained in a read."""
    return Names([name]).covers(read)
