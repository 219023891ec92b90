"""Renames the macros of several texts in one tree, so that equal names do not collide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from jinja2 import nodes

from notifications.rendering.language.trees import find_all, walk

Fail = Callable[[str, nodes.Node], None]
Aliases = Mapping[str, "str | Mapping[str, str]"]


class Macros:
    """The imported macros, by the path of their template."""

    def __init__(self) -> None:
        self._known: dict[str, Mapping[str, str]] = {}
        self._definitions: list[nodes.Node] = []

    def known(self, path: str) -> Mapping[str, str] | None:
        """Returns the new names of a template's macros; None if it was not imported yet."""
        return self._known.get(path)

    def add(self, path: str, tree: nodes.Template, names: Mapping[str, str]) -> Mapping[str, str]:
        """Stores the top-level macros of a template's text; returns their new names."""
        found = [node for node in tree.body if isinstance(node, nodes.Macro)]
        self._definitions += found
        stored = {node.name for node in found}
        self._known[path] = {old: new for old, new in names.items() if new in stored}
        return self._known[path]

    def definitions(self) -> list[nodes.Node]:
        """Returns the macros, which belong at the top of the flat tree."""
        return self._definitions


def rename(tree: nodes.Template, *, place: int, aliases: Aliases, fail: Fail) -> dict[str, str]:
    """Gives a text's own macros new names, and replaces aliases by the imported macros.

    Returns the new names of its own macros.
    """
    own = {node.name: f"{node.name}__{place}" for node in find_all(tree, nodes.Macro)}
    meant: dict[str, str | Mapping[str, str]] = {**aliases, **own}
    if not meant:
        return own
    for name in list(find_all(tree, nodes.Name)):
        if name.ctx != "load" and name.name in meant:
            fail(f"{name.name!r} is a macro or an import here, not a variable", name)
    for macro in find_all(tree, nodes.Macro):
        macro.name = own[macro.name]
    for load in list(_loads(tree)):
        _replace_load(load, meant, fail)
    return own


class _Load(NamedTuple):
    """An expression that may name a macro, and its place in the tree."""

    #: The node that contains the expression.
    holder: nodes.Node
    #: The field of the holder.
    field: str
    #: The index, when the field is a list.
    place: int | None
    node: nodes.Name | nodes.Getattr


def _loads(tree: nodes.Node) -> Iterator[_Load]:
    """Yields every expression that may name a macro."""
    for holder in [tree, *walk(tree)]:
        for field, value in holder.iter_fields():
            if isinstance(value, nodes.Name | nodes.Getattr):
                yield _Load(holder, field, None, value)
            elif isinstance(value, list):
                for place, each in enumerate(value):
                    if isinstance(each, nodes.Name | nodes.Getattr):
                        yield _Load(holder, field, place, each)


def _replace_load(load: _Load, meant: Aliases, fail: Fail) -> None:
    each = load.node
    if isinstance(each, nodes.Name):
        new = meant.get(each.name) if each.ctx == "load" else None
        if isinstance(new, str):
            each.name = new
        elif new is not None and not isinstance(load.holder, nodes.Getattr):
            fail(f"{each.name!r} is an import: name one of its macros", each)
        return
    owner = each.node
    module = meant.get(owner.name) if isinstance(owner, nodes.Name) else None
    if module is None or isinstance(module, str) or not isinstance(owner, nodes.Name):
        return
    if each.attr not in module:
        fail(f"there is no macro {each.attr!r} in {owner.name!r}", each)
    new_name = nodes.Name(module[each.attr], "load", lineno=each.lineno)
    if load.place is None:
        setattr(load.holder, load.field, new_name)
    else:
        getattr(load.holder, load.field)[load.place] = new_name
