"""Reads one template source: into a syntax tree, or into an error with its line."""

from __future__ import annotations

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from notifications.domain.errors import TemplateFault
from notifications.rendering.columns import column_of
from notifications.rendering.meter import MAX_SOURCE
from notifications.rendering.sandbox import Sandbox

TOO_DEEP = "is nested too deeply"


def parse_source(source: str, *, env: Sandbox, name: str) -> nodes.Template:
    """The checked syntax tree of a source; what it names is not looked at.

    Raises:
        TemplateFault: template_syntax, with the place (data: line, column).
    """
    if len(source) > MAX_SOURCE:
        raise TemplateFault(
            f"{name} is longer than {MAX_SOURCE:,} characters", code="template_syntax"
        )
    try:
        tree = env.parse(source)
        env.check(tree)
    except TemplateSyntaxError as error:
        raise syntax_fault(name, error, column=column_of(env, source, error)) from error
    except RecursionError as error:
        raise TemplateFault(f"{name} {TOO_DEEP}", code="template_syntax") from error
    return tree


def syntax_fault(
    name: str, error: TemplateSyntaxError, *, line: int | None = None, column: int | None = None
) -> TemplateFault:
    """What an author is told; the line is that of the error unless another is given."""
    line = line or error.lineno
    place = f"line {line}, column {column}" if column else f"line {line}"
    return TemplateFault(
        f"{name}, {place}: {error.message}", code="template_syntax", line=line, column=column
    )
