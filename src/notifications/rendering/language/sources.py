"""Parses one template source into a syntax tree, or into an error with its line."""

from __future__ import annotations

import re

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from directory.texts import UNSTORABLE, is_storable, join_surrogates
from notifications.domain.errors import TemplateFault
from notifications.rendering.language.columns import column_of
from notifications.rendering.language.meter import MAX_SOURCE
from notifications.rendering.language.sandbox import Sandbox
from notifications.rendering.language.trees import is_too_deep

TOO_DEEP = "is nested too deeply"
_LONG_NUMBER = re.compile(r"(?<![0-9_])[0-9_]{4300,}+")


def parse_source(source: str, *, env: Sandbox, name: str) -> nodes.Template:
    """Returns the checked syntax tree of a source; the templates that it names are not read.

    Raises:
        TemplateFault: template_syntax, with the place (data: line, column).
    """
    if len(source) > MAX_SOURCE:
        raise TemplateFault(
            f"{name} is longer than {MAX_SOURCE:,} characters", code="template_syntax"
        )
    source = join_surrogates(source)
    if not is_storable(source):
        raise TemplateFault(f"{name} holds {UNSTORABLE}", code="template_syntax")
    try:
        tree = env.parse(source)
        if is_too_deep(tree):
            raise RecursionError
        _join_halves(tree)
        env.check(tree)
    except TemplateSyntaxError as error:
        raise syntax_fault(name, error, column=column_of(env, source, error)) from error
    except RecursionError as error:
        raise TemplateFault(f"{name} {TOO_DEEP}", code="template_syntax") from error
    except ValueError as error:  # Python's own limit of digits, in Jinja's lexer
        line = _line_of_long_number(source)
        raise TemplateFault(
            f"{name}, line {line}: a number is too long", code="template_syntax", line=line
        ) from error
    return tree


def _line_of_long_number(source: str) -> int:
    found = _LONG_NUMBER.search(source)
    return source.count("\n", 0, found.start()) + 1 if found else 1


def _join_halves(tree: nodes.Template) -> None:
    """Joins surrogate pairs in the literals of expressions.

    JSON and JavaScript write characters beyond U+FFFF as two escapes, which Jinja reads as two
    characters.

    Raises:
        TemplateSyntaxError: a literal holds an unpaired surrogate or NUL.
    """
    for node in tree.find_all(nodes.Const):
        if isinstance(node.value, str) and not is_storable(node.value):
            node.value = join_surrogates(node.value)
            if not is_storable(node.value):
                raise TemplateSyntaxError(f"a text holds {UNSTORABLE}", node.lineno)


def syntax_fault(
    name: str, error: TemplateSyntaxError, *, line: int | None = None, column: int | None = None
) -> TemplateFault:
    """Returns the fault for an author; the line is that of the error unless another is given."""
    line = line or error.lineno
    place = f"line {line}, column {column}" if column else f"line {line}"
    return TemplateFault(
        f"{name}, {place}: {error.message}", code="template_syntax", line=line, column=column
    )
