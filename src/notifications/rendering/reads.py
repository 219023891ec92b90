"""Which variables of the context a text reads, with what it reads of them: `order.id`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jinja2 import nodes

MAX_STEPS = 10
"""Entries of a variable that are told: `a.b.c...`, and no longer."""


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
