"""Compiles and renders single texts: CompiledText, NotificationTemplateEngine.

Every error becomes a TemplateFault with the line. Its text is logged and stored, so it never holds
a value of the context. See docs/templates.md.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateError, TemplateSyntaxError

from directory.texts import UNSTORABLE, is_storable, join_surrogates
from notifications.domain.errors import LimitExceeded, TemplateFault
from notifications.rendering.language.filters import FORMATS
from notifications.rendering.language.formats import FormatFault, formats_for
from notifications.rendering.language.links import Library, NoLibrary, link
from notifications.rendering.language.meter import (
    AT_WORK,
    MAX_OUTPUT,
    METER,
    LimitReached,
    Meter,
    TimeSpent,
)
from notifications.rendering.language.reads import bare_reads, dotted_reads
from notifications.rendering.language.sandbox import MissingVariable, Sandbox, free_names
from notifications.rendering.language.sources import TOO_DEEP, syntax_fault
from notifications.rendering.language.trees import find_all
from notifications.rendering.mail.html import styled
from notifications.rendering.titles import TITLE_END

TEXT = Sandbox(html=False)
_HTML = Sandbox(html=True)
_GLOBALS = frozenset(TEXT.globals)
CHUNKS_AT_ONCE = 64


class CompiledText:
    """One compiled text. `render` reads the variables in place; nothing is copied."""

    #: The roots of the variables that the text reads, such as `order`.
    variables: frozenset[str]
    #: The variables with their entries, such as `order.id`.
    reads: frozenset[str]
    #: The entries of `user` without which the text fails, such as `user.first_name`.
    of_user: frozenset[str]
    #: The bytes (UTF-8) that every render of the text has at least.
    least_bytes: int
    #: A sentence for the author, or an empty text.
    notes: str
    #: Whether the result depends on the time of the render.
    reads_clock: bool
    #: Whether the text begins with a title.
    is_titled: bool
    #: The paths of the templates that the text names.
    uses: frozenset[str]

    __slots__ = (
        "_globals",
        "_lines",
        "_template",
        "is_titled",
        "least_bytes",
        "name",
        "notes",
        "of_user",
        "reads",
        "reads_clock",
        "uses",
        "variables",
    )

    def __init__(
        self,
        source: str,
        *,
        html: bool = False,
        name: str = "template",
        library: Library | None = None,
        path: str = "",
    ) -> None:
        """Compiles a source.

        library finds the templates that the source names; path is that of its own template.

        Raises:
            TemplateFault: the source cannot be compiled; with the line.
        """
        self.name = name
        env = _HTML if html else TEXT
        try:
            linked = link(source, env=env, name=name, library=library or NoLibrary(), path=path)
            self._lines, self.uses = linked.lines, frozenset(linked.paths)
            self._compile(linked.tree, self._prepared(linked.tree, env))
        except TemplateFault:
            raise
        except TemplateSyntaxError as error:
            where, line = self._lines.where(error.lineno)
            raise syntax_fault(where, error, line=line) from error
        except SyntaxError as error:
            detail = f"{name} cannot be compiled: it is nested too deeply, or names a thing twice"
            raise TemplateFault(detail, code="template_syntax") from error
        except (RecursionError, MemoryError) as error:
            raise TemplateFault(f"{name} {TOO_DEEP}", code="template_syntax") from error
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # Jinja failed on what the author wrote, so the author has to correct it.
            detail = f"{name} cannot be compiled ({type(error).__name__})"
            raise TemplateFault(detail, code="template_syntax") from error

    def _prepared(self, tree: nodes.Template, env: Sandbox) -> Sandbox:
        """Prepares a flat tree for the compiler; returns the environment to compile it in."""
        self.notes = ""
        if env is _HTML:
            tree.body, self.notes = styled(tree.body, name=self.name)
        return env

    def _compile(self, tree: nodes.Template, env: Sandbox) -> None:
        self.variables = free_names(tree, env)
        self.reads = dotted_reads(tree, self.variables)
        self.of_user = bare_reads(tree, "user") if "user" in self.variables else frozenset()
        self.reads_clock = any(node.name == "time_ago" for node in find_all(tree, nodes.Filter))
        self.is_titled = any(TITLE_END in node.data for node in find_all(tree, nodes.TemplateData))
        self.least_bytes = sum(len(text.encode("utf-8", "replace")) for text in _always(tree.body))
        names = {node.name for node in find_all(tree, nodes.Name)}
        self._globals = {name: env.globals[name] for name in names & _GLOBALS}
        env.guard(tree)
        code = env.compile(tree, self.name, "<template>")
        self._template = Template.from_code(env, code, {})

    def render(self, variables: dict[str, Any]) -> str:
        """Returns the rendered text.

        `variables` holds the Formats under FORMATS and the Meter under METER. Surrogate pairs that
        one or two values form are joined.

        Raises:
            TemplateFault: missing_variable (data: variable) or template_error, with the line;
                invalid_rendered_text when the result holds NUL or an unpaired surrogate.
        """
        if self._globals:
            variables = {**variables, **self._globals}
        AT_WORK.meter = variables[METER]
        template = self._template
        context = template.new_context(variables, True)
        try:
            text = _bounded_join(template.root_render_func(context))
        except Exception as error:
            raise _render_fault(self, error, variables) from error
        return text if is_storable(text) else storable(text, name=self.name)

    def place_of(self, traceback: TracebackType | None) -> tuple[str, int | None]:
        """Returns the name of the text in which a traceback began, and the line if it is known."""
        line = None
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == "<template>":
                line = self._template.get_corresponding_lineno(traceback.tb_lineno)
            traceback = traceback.tb_next
        return self._lines.where(line)


def storable(text: str, *, name: str) -> str:
    """Returns the text with surrogate pairs joined.

    Raises:
        TemplateFault: invalid_rendered_text.
    """
    text = join_surrogates(text)
    if not is_storable(text):
        raise TemplateFault(
            f"{name}: the rendered text holds {UNSTORABLE}", code="invalid_rendered_text"
        )
    return text


def _always(body: list[nodes.Node]) -> Iterator[str]:
    """Yields the parts of a text that do not depend on its variables."""
    for node in body:
        if isinstance(node, nodes.Scope):
            yield from _always(node.body)
        elif isinstance(node, nodes.Output):
            yield from (each.data for each in node.nodes if isinstance(each, nodes.TemplateData))


def _bounded_join(chunks: Iterator[str]) -> str:
    """Joins chunks, a few at a time, and checks their size before it copies them."""
    parts: list[str] = []
    size = 0
    while True:
        some = list(itertools.islice(chunks, CHUNKS_AT_ONCE))
        size += sum(map(len, some))
        if size > MAX_OUTPUT:
            raise LimitReached(f"it renders to more than {MAX_OUTPUT:,} characters")
        if len(some) < CHUNKS_AT_ONCE:
            return "".join([*parts, *some])
        parts.append("".join(some))


def _render_fault(
    compiled: CompiledText, error: Exception, variables: Mapping[str, Any]
) -> TemplateFault:
    name, line = compiled.place_of(error.__traceback__)
    where = f"{name}, line {line}" if line else name
    if isinstance(error, MissingVariable):
        variable = _full_name(error, variables)
        return TemplateFault(
            f"{where}: the variable {variable} is missing",
            code="missing_variable",
            variable=variable,
            line=line,
        )
    # The texts of other exceptions may quote a value of the context: only their type is reported.
    is_quotable = isinstance(error, TemplateError | FormatFault | TypeError | ZeroDivisionError)
    reason = str(error) if is_quotable else f"it fails with {type(error).__name__}"
    if isinstance(error, LimitReached | MemoryError):
        is_overrun = isinstance(error, TimeSpent)
        return LimitExceeded(f"{where}: {reason}", is_overrun=is_overrun, line=line)
    return TemplateFault(f"{where}: {reason}", line=line)


def _full_name(error: MissingVariable, variables: Mapping[str, Any]) -> str:
    if error.owner is None:
        return error.name
    owners = [name for name, value in variables.items() if value is error.owner]
    return f"{owners[0]}.{error.name}" if owners else error.name


@functools.lru_cache(maxsize=512)
def compiled_text(source: str, html: bool = False) -> CompiledText:
    """Returns the compiled form of a source that belongs to no stored version; cached."""
    return CompiledText(source, html=html)


def root_of(variable: str) -> str:
    """Returns the variable that a dotted name begins with: `user` for `user.first_name`."""
    return variable.partition(".")[0].partition("[")[0].strip()


class NotificationTemplateEngine:
    """Renders and validates single texts in the sandbox."""

    def render_template(
        self,
        template_content: str,
        context: Mapping[str, Any],
        *,
        html: bool = False,
        locale: str = "en",
        timezone: str = "UTC",
    ) -> str:
        """Renders a text with a context; with html=True the values are escaped.

        Raises:
            TemplateFault: template_syntax, missing_variable or template_error.
        """
        variables = {**context, FORMATS: formats_for(locale, timezone), METER: Meter()}
        return compiled_text(template_content, html).render(variables)

    def validate_template(
        self, template_content: str, required_vars: Iterable[str]
    ) -> dict[str, Any]:
        """Compares a text's variables with the required ones. Dotted names count as their root.

        Returns valid, missing_variables (required, not used), extra_variables (used, not
        required), all_variables, and error (None, or the syntax error).
        """
        try:
            used = CompiledText(template_content).variables
        except TemplateFault as fault:
            return _validation(error=fault.detail)
        required = list(required_vars)
        missing = sorted({name for name in required if root_of(name) not in used})
        extra = sorted(used - {root_of(name) for name in required})
        return _validation(missing, extra, sorted(used))


def _validation(
    missing: list[str] | None = None,
    extra: list[str] | None = None,
    used: list[str] | None = None,
    error: str | None = None,
) -> dict[str, Any]:
    return {
        "valid": error is None and not missing,
        "missing_variables": missing or [],
        "extra_variables": extra or [],
        "all_variables": used or [],
        "error": error,
    }
