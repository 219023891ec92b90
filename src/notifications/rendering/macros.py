"""Macros of several texts in one tree: each keeps to its own text by a name of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import nodes

Fail = Callable[[str, nodes.Node], None]
Aliases = Mapping[str, "str | Mapping[str, str]"]


class Macros:
    """The macros that texts have imported, by the template that they come from."""

    def __init__(self) -> None:
        self._known: dict[str, Mapping[str, str]] = {}
        self._definitions: list[nodes.Node] = []

    def known(self, path: str) -> Mapping[str, str] | None:
        """The new names of a template's macros, if it was imported already."""
        return self._known.get(path)

    def add(self, path: str, tree: nodes.Template, names: Mapping[str, str]) -> Mapping[str, str]:
        """Keeps the macros at the top of a template's text; answers their new names."""
        found = [node for node in tree.body if isinstance(node, nodes.Macro)]
        self._definitions += found
        there = {node.name for node in found}
        self._known[path] = {old: new for old, new in names.items() if new in there}
        return self._known[path]

    def definitions(self) -> list[nodes.Node]:
        """What goes to the top of the whole."""
        return self._definitions


def rename(tree: nodes.Template, *, place: int, aliases: Aliases, fail: Fail) -> dict[str, str]:
    """Gives a text's own macros new names, and puts the imported ones in for their aliases.

    Answers the new names of its own macros.
    """
    own = {node.name: f"{node.name}__{place}" for node in tree.find_all(nodes.Macro)}
    meant: dict[str, str | Mapping[str, str]] = {**aliases, **own}
    if not meant:
        return own
    for name in list(tree.find_all(nodes.Name)):
        if name.ctx != "load" and name.name in meant:
            fail(f"{name.name!r} is a macro or an import here, and no variable", name)
    for macro in tree.find_all(nodes.Macro):
        macro.name = own[macro.name]
    for holder, field, each in list(_loads(tree)):
        _put(holder, field, each, meant, fail)
    return own


def _loads(tree: nodes.Node) -> Iterator[tuple[nodes.Node, str, nodes.Node]]:
    """Every expression that may stand for a macro, with what holds it."""
    for holder in [tree, *tree.find_all(nodes.Node)]:
        for field, value in holder.iter_fields():
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, nodes.Name | nodes.Getattr):
                    yield holder, field, each


def _put(holder: nodes.Node, field: str, each: Any, meant: Aliases, fail: Fail) -> None:
    if isinstance(each, nodes.Name):
        new = meant.get(each.name) if each.ctx == "load" else None
        if isinstance(new, str):
            each.name = new
        elif new is not None and not isinstance(holder, nodes.Getattr):
            fail(f"{each.name!r} is an import: name one of its macros", each)
        return
    module = meant.get(each.node.name) if isinstance(each.node, nodes.Name) else None
    if module is None or isinstance(module, str):
        return
    if each.attr not in module:
        fail(f"there is no macro {each.attr!r} in {each.node.name!r}", each)
    new_name = nodes.Name(module[each.attr], "load", lineno=each.lineno)
    value = getattr(holder, field)
    if isinstance(value, list):
        value[next(place for place, item in enumerate(value) if item is each)] = new_name
    else:
        setattr(holder, field, new_name)
