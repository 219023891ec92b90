"""Compiles and renders single texts: NotificationTemplateEngine, and its caching kind.

Everything that goes wrong becomes a TemplateFault with the line; its text never holds a value of
the context, for it is logged and stored. See docs/howto/write_a_template.md.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

from asgiref.sync import sync_to_async
from jinja2 import Template, meta, nodes
from jinja2.exceptions import TemplateError, TemplateSyntaxError

from notifications.domain.errors import TemplateFault
from notifications.models import NotificationTemplate, TemplateStatus
from notifications.rendering.filters import FORMATS
from notifications.rendering.formats import FormatFault, formats_for
from notifications.rendering.meter import MAX_OUTPUT, MAX_SOURCE, METER, Meter
from notifications.rendering.sandbox import MissingVariable, Sandbox

_TEXT = Sandbox(html=False)
_HTML = Sandbox(html=True)
_GLOBALS = frozenset(_TEXT.globals)
CHUNKS_AT_ONCE = 64
_TOO_DEEP = "is nested too deeply"


class CompiledText:
    """One compiled text. `render` takes the variables as they are; nothing is copied."""

    __slots__ = ("_env", "_globals", "_has_loops", "_template", "name", "reads_clock", "variables")

    def __init__(self, source: str, *, html: bool = False, name: str = "template") -> None:
        """Raises TemplateFault with the line when the source cannot be compiled."""
        self.name = name
        self._env = env = _HTML if html else _TEXT
        tree = parse(source, html=html, name=name)
        self.variables = frozenset(meta.find_undeclared_variables(tree))
        self.reads_clock = any(node.name == "time_ago" for node in tree.find_all(nodes.Filter))
        self._has_loops = any(True for _ in tree.find_all(nodes.For))
        names = {node.name for node in tree.find_all(nodes.Name)}
        self._globals = {name: env.globals[name] for name in names & _GLOBALS}
        env.guard(tree)
        try:
            code = env.compile(tree, name, "<template>")
            self._template = Template.from_code(env, code, {})
        except TemplateSyntaxError as error:
            raise _syntax_fault(name, error) from error
        except (RecursionError, MemoryError, SyntaxError) as error:
            raise TemplateFault(f"{name} {_TOO_DEEP}", code="template_syntax") from error

    def render(self, variables: dict[str, Any]) -> str:
        """The text. `variables` holds the Formats under FORMATS and the Meter under METER.

        Raises:
            TemplateFault: missing_variable (data: variable) or template_error, with the line.
        """
        if self._globals:
            variables = {**variables, **self._globals}
        template = self._template
        context = template.new_context(variables, True)
        try:
            if self._has_loops:
                return _bounded_join(template.root_render_func(context))
            text = "".join(template.root_render_func(context))
        except Exception as error:
            raise _render_fault(self, error, variables) from error
        if len(text) > MAX_OUTPUT:
            raise _too_long(self.name)
        return text

    def line_of(self, traceback: TracebackType | None) -> int | None:
        """The template's line at which a traceback began."""
        line = None
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == "<template>":
                line = self._template.get_corresponding_lineno(traceback.tb_lineno)
            traceback = traceback.tb_next
        return line


def parse(source: str, *, html: bool = False, name: str = "template") -> nodes.Template:
    """The checked syntax tree of a source.

    Raises:
        TemplateFault: template_syntax, with the line (data: line).
    """
    if len(source) > MAX_SOURCE:
        raise TemplateFault(
            f"{name} is longer than {MAX_SOURCE:,} characters", code="template_syntax"
        )
    env = _HTML if html else _TEXT
    try:
        tree = env.parse(source)
        env.check(tree)
    except TemplateSyntaxError as error:
        raise _syntax_fault(name, error) from error
    except RecursionError as error:
        raise TemplateFault(f"{name} {_TOO_DEEP}", code="template_syntax") from error
    return tree


def _syntax_fault(name: str, error: TemplateSyntaxError) -> TemplateFault:
    return TemplateFault(
        f"{name}, line {error.lineno}: {error.message}", code="template_syntax", line=error.lineno
    )


def _too_long(name: str) -> TemplateFault:
    return TemplateFault(f"{name} renders to more than {MAX_OUTPUT:,} characters")


def _bounded_join(chunks: Iterator[str]) -> str:
    parts: list[str] = []
    size = 0
    while some := list(itertools.islice(chunks, CHUNKS_AT_ONCE)):
        parts.append("".join(some))
        size += len(parts[-1])
        if size > MAX_OUTPUT:
            raise FormatFault(f"it renders to more than {MAX_OUTPUT:,} characters")
    return "".join(parts)


def _render_fault(
    compiled: CompiledText, error: Exception, variables: Mapping[str, Any]
) -> TemplateFault:
    line = compiled.line_of(error.__traceback__)
    where = f"{compiled.name}, line {line}" if line else compiled.name
    if isinstance(error, MissingVariable):
        name = _full_name(error, variables)
        return TemplateFault(
            f"{where}: the variable {name} is missing",
            code="missing_variable",
            variable=name,
            line=line,
        )
    # Other exceptions' texts may quote a value of the context: only their kind is told.
    tellable = isinstance(error, TemplateError | FormatFault | TypeError | ZeroDivisionError)
    reason = str(error) if tellable else f"it fails with {type(error).__name__}"
    return TemplateFault(f"{where}: {reason}", line=line)


def _full_name(error: MissingVariable, variables: Mapping[str, Any]) -> str:
    if error.owner is None:
        return error.name
    owners = [name for name, value in variables.items() if value is error.owner]
    return f"{owners[0]}.{error.name}" if owners else error.name


@functools.lru_cache(maxsize=512)
def compiled_text(source: str, html: bool = False) -> CompiledText:
    """The compiled form of a source that is not part of a stored version, cached."""
    return CompiledText(source, html=html)


def root_of(variable: str) -> str:
    """`user.first_name` needs the variable `user`."""
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
        """The text with the context's values; with html=True they are escaped.

        Raises:
            TemplateFault: template_syntax, missing_variable or template_error.
        """
        variables = {**context, FORMATS: formats_for(locale, timezone), METER: Meter()}
        return compiled_text(template_content, html).render(variables)

    def validate_template(
        self, template_content: str, required_vars: Iterable[str]
    ) -> dict[str, Any]:
        """Compares a text's variables with those it must use. Dotted ones count as their root.

        Answers valid, missing_variables (required, not used), extra_variables (used, not
        required), all_variables, and error (None, or what is wrong with the syntax).
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


class CachedTemplateEngine(NotificationTemplateEngine):
    """Keeps what it rendered: the same template and context answer at once.

    A text that reads the clock (`time_ago`) is rendered anew each time.
    """

    def __init__(self, maxsize: int = 10_000) -> None:
        self._rendered: OrderedDict[tuple[str, bytes], str] = OrderedDict()
        self._maxsize = maxsize

    async def render_template_cached(
        self, template_id: str, template_content: str, context: Mapping[str, Any]
    ) -> str:
        """The text; template_id names it, and its content decides whether it is the same."""
        if compiled_text(template_content).reads_clock:
            return self.render_template(template_content, context)
        key = (str(template_id), _digest(template_content, context))
        found = self._rendered.get(key)
        if found is not None:
            self._rendered.move_to_end(key)
            return found
        text = self.render_template(template_content, context)
        self._rendered[key] = text
        if len(self._rendered) > self._maxsize:
            self._rendered.popitem(last=False)
        return text

    async def precompile_templates(self) -> int:
        """Compiles the texts of every active, published template; answers how many."""
        return await sync_to_async(self._precompile)()

    def _precompile(self) -> int:
        rows = NotificationTemplate.objects.filter(is_active=True, status=TemplateStatus.PUBLISHED)
        count = 0
        for row in rows.iterator(chunk_size=100):
            for texts in row.content().values():
                for field, source in texts.items():
                    compiled_text(source, field == "email_html_template")
                    count += 1
        return count


def _digest(content: str, context: Mapping[str, Any]) -> bytes:
    text = json.dumps(context, sort_keys=True, default=repr)
    return hashlib.blake2b(f"{content}\0{text}".encode()).digest()
