"""Every stable code that the service can respond with, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for package in ("notifications", "directory/audiences")
    for path in (ROOT / "src" / package).rglob("*.py")
    if not {"migrations", "testing"} & set(path.parts)
] + [ROOT / "src/directory/moments.py", ROOT / "src/directory/references.py"]
KEYWORDS = ("code", "error_code")
POSITIONS = {
    "FieldError": 1,
    "add_error": 1,
    "add_fault": 1,
    "InvalidPersonFields": 1,
    "Rejection": 1,
    "_reject": 1,
    "_uncertain": 2,
    "HttpFault": 0,
    "SmtpLost": 0,
    "not_configured": 1,
    "Suppress": 0,
    "Defer": 1,
    "Limit": 4,
}
"""Callables with a positional code -> the position of the code."""
ANY_POSITION = ("_dead", "_write_dead_letter")
"""Callables with a code among their arguments."""


@cache
def codes_of_source() -> frozenset[str]:
    """Returns the literal codes; a value in an f-string becomes `*`, such as `http_*`."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES)
    return frozenset(code for tree in trees for code in codes_in(tree))


def codes_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from _class_code(node)
        elif isinstance(node, ast.Call):
            yield from _call_codes(node)
        elif isinstance(node, ast.arguments):
            yield from _default_codes(node)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "error_code":
                    yield from _texts(value)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("dead_code"):
            yield from _texts(node.value)


def _class_code(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "code":
            yield from _texts(statement.value)


def _default_codes(given: ast.arguments) -> Iterator[str]:
    names = [*given.posonlyargs, *given.args]
    pairs = list(zip(reversed(names), reversed(given.defaults), strict=False))
    pairs += zip(given.kwonlyargs, given.kw_defaults, strict=True)
    for argument, default in pairs:
        if argument.arg == "code" and default is not None:
            yield from _texts(default)


def _call_codes(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func).rpartition(".")[2]
    for keyword in call.keywords:
        if keyword.arg in KEYWORDS:
            yield from _texts(keyword.value)
    place = POSITIONS.get(name)
    if place is not None and len(call.args) > place:
        yield from _texts(call.args[place])
    if name in ANY_POSITION:
        for argument in call.args:
            yield from _texts(argument)


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if node.value.replace("_", "").isalnum() and node.value.islower():
            yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = [str(v.value) if isinstance(v, ast.Constant) else "*" for v in node.values]
        yield "".join(parts)
    elif isinstance(node, ast.BoolOp | ast.IfExp):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from _texts(child)
