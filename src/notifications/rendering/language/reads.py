"""Which variables of the context a text reads, with what it reads of them: `order.id`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jinja2 import nodes

MAX_STEPS = 10
"""Entries of a variable that are told: `a.b.c...`, and no longer."""
_DEFAULT = ("default", "d")
_ASKING = ("defined", "undefined", *_DEFAULT)
"""Tests and filters that a variable may be missing for."""


def dotted_reads(tree: nodes.Template, free: Iterable[str]) -> frozenset[str]:
    """The reads of free variables, as far as the template writes them out.

    `{{ order.lines[0].price }}` reads `order.lines`, for the rest has no name; a variable that is
    handed on as a whole (`{{ order|tojson }}`) is read as `order`.
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
            # A method of the value, e.g. order.items(): the value is read, not its entry.
            waiting += [(each, ()) for each in node.iter_child_nodes(exclude=("node",))]
            waiting.append((node.node.node, ()))
        elif isinstance(node, nodes.Getattr | nodes.Getitem) and (step := _step(node)):
            waiting.append((node.node, (step, *tail)))
        else:
            waiting += [(each, ()) for each in node.iter_child_nodes()]
    return frozenset(found)


def _step(node: nodes.Getattr | nodes.Getitem) -> str:
    """The name that is read of a value; empty when it is computed or a number."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    key = node.arg.value if isinstance(node.arg, nodes.Const) else None
    return key if isinstance(key, str) and key.isidentifier() else ""


def bare_reads(tree: nodes.Template, root: str) -> frozenset[str]:
    """The entries of a variable that a text cannot do without: `user.first_name`, where neither
    `default` stands in for it nor a condition asks whether it is there.

    Whatever a condition on the variable leads to counts as asked for, in each of its branches.
    """
    found: set[str] = set()
    asking = _asking(tree, root)
    waiting: list[nodes.Node] = [tree]
    while waiting:
        node = waiting.pop()
        if entry := _entry(node, root):
            found.add(entry)
        elif isinstance(node, nodes.Filter) and node.name in _DEFAULT:
            # Its argument is read where the value is missing, as an entry of the same is.
            is_entry = node.node is not None and bool(_entry(node.node, root))
            waiting += node.iter_child_nodes(exclude=("node",) if is_entry else ("args", "kwargs"))
        elif isinstance(node, nodes.Call) and _entry(node.node, root):
            waiting += node.iter_child_nodes(exclude=("node",))  # a method: user.items()
        elif not any(id(each) in asking for each in _conditions(node)):
            waiting += node.iter_child_nodes()
    return frozenset(found)


def _entry(node: nodes.Node, root: str) -> str:
    """`user.first_name`, for what is an entry of the root and nothing else; or empty."""
    if not isinstance(node, nodes.Getattr | nodes.Getitem):
        return ""
    step = _step(node)
    is_root = isinstance(node.node, nodes.Name) and node.node.name == root
    return f"{root}.{step}" if is_root and step else ""


def _conditions(node: nodes.Node) -> list[nodes.Node]:
    """What is asked before a part of the node is read."""
    if isinstance(node, nodes.If):
        return [node.test, *(each.test for each in node.elif_)]
    if isinstance(node, nodes.CondExpr):
        return [node.test]
    if isinstance(node, nodes.And | nodes.Or):
        return [node.left]
    return [node] if isinstance(node, nodes.Test) else []


def _asking(tree: nodes.Node, root: str) -> set[int]:
    """Which nodes, by id(), ask for the root or an entry of it, and do not simply read one.

    Each is looked at once, the innermost first: conditions stand in conditions.
    """
    order: list[nodes.Node] = [tree]
    for node in order:
        order += node.iter_child_nodes()
    found: set[int] = set()
    for node in reversed(order):
        if isinstance(node, nodes.Name):
            asks = node.name == root
        elif isinstance(node, nodes.Test | nodes.Filter) and node.name in _ASKING:
            asks = node.node is not None and bool(_entry(node.node, root))
        else:
            asks = not _entry(node, root) and any(
                id(each) in found for each in node.iter_child_nodes()
            )
        if asks:
            found.add(id(node))
    return found


class Names:
    """Dotted names that are declared, or read. Each question costs the length of a name."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._beginnings = frozenset(each for name in self._names for each in _beginnings(name))

    def covers(self, name: str) -> bool:
        """Whether one of them and a name speak of the same: one is the other, or holds it."""
        return name in self._beginnings or any(each in self._names for each in _beginnings(name))


def _beginnings(name: str) -> Iterator[str]:
    """`order.lines.price`: itself, `order.lines` and `order`."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def covers(name: str, read: str) -> bool:
    """Whether a declared name and a read speak of the same: one is the other, or holds it."""
    return Names([name]).covers(read)
