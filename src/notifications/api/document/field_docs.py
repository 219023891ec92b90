"""Reads the documentation of a Struct's fields: the string below each field, from its source.

The OpenAPI document is made from these strings, so that a field is described at the field and once.
Requests never read them: they cost nothing while the service works.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

_MARK = "Example: `"


class FieldDoc(NamedTuple):
    """What the string below a field says."""

    text: str
    """The description, on one line; empty when the string has only an example."""

    example: Any = msgspec.UNSET
    """The value after `Example:`, read as JSON where it is JSON, else as a text."""


@functools.cache
def field_docs(shape: type[msgspec.Struct]) -> Mapping[str, FieldDoc]:
    """The documentation of a Struct's fields by name, with those of its bases.

    A field without a string is not in the result. Without the source the result is empty.
    """
    found: dict[str, FieldDoc] = {}
    for kind in reversed(shape.__mro__):
        if issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct:
            found |= dict(_docs_of(kind))
    return found


def read_doc(written: str) -> FieldDoc:
    """The description and the example of one string."""
    line = " ".join(written.split())
    text, mark, rest = line.partition(_MARK)
    if not mark:
        return FieldDoc(line)
    example = rest.removesuffix(".").removesuffix("`")
    try:
        return FieldDoc(text.strip(), json.loads(example))
    except ValueError:
        return FieldDoc(text.strip(), example)


def _docs_of(kind: type) -> Iterator[tuple[str, FieldDoc]]:
    for statement in _classes_of(kind.__module__).get(kind.__name__, ()):
        name, written = statement
        yield name, read_doc(written)


@functools.cache
def _classes_of(module: str) -> Mapping[str, list[tuple[str, str]]]:
    """The documented fields of a module's classes: name and string."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:  # compiled files alone are installed
        return {}
    return {
        node.name: list(_fields_of(node)) for node in tree.body if isinstance(node, ast.ClassDef)
    }


def _fields_of(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            yield field.target.id, str(below.value.value)
