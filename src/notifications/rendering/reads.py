"""Which variables of the context a text reads, with what it reads of them: `order.id`."""

from __future__ import annotations

from collections.abc import Iterable

from jinja2 import nodes


def dotted_reads(tree: nodes.Template, free: Iterable[str]) -> frozenset[str]:
    """The reads of free variables, as far as the template writes them out.

    `{{ order.lines[0].price }}` reads `order.lines`, for the rest has no name; a variable that is
    handed on as a whole (`{{ order|tojson }}`) is read as `order`.
    """
    wanted = frozenset(free)
    found: set[str] = set()
    waiting: list[tuple[nodes.Node, str]] = [(tree, "")]
    while waiting:
        node, tail = waiting.pop()
        if isinstance(node, nodes.Name):
            if node.ctx == "load" and node.name in wanted:
                found.add(f"{node.name}{tail}")
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
            # A method of the value, e.g. order.items(): the value is read, not its entry.
            waiting += [(each, "") for each in node.iter_child_nodes(exclude=("node",))]
            waiting.append((node.node.node, ""))
        elif isinstance(node, nodes.Getattr | nodes.Getitem) and (step := _step(node)):
            waiting.append((node.node, f".{step}{tail}"))
        else:
            waiting += [(each, "") for each in node.iter_child_nodes()]
    return frozenset(found)


def _step(node: nodes.Getattr | nodes.Getitem) -> str:
    """The name that is read of a value; empty when it is computed or a number."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    key = node.arg.value if isinstance(node.arg, nodes.Const) else None
    return key if isinstance(key, str) and key.isidentifier() else ""


def covers(name: str, read: str) -> bool:
    """Whether a declared name and a read speak of the same: one is the other, or holds it."""
    return name == read or name.startswith(f"{read}.") or read.startswith(f"{name}.")
