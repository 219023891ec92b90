"""The Jinja2 environments in which templates of untrusted authors run.

The sandbox lists what is allowed, not what is forbidden. Values are data (texts, numbers, times,
lists, mappings), each with a few harmless methods. Filters are a fixed list; call blocks and block
assignments are off. Layouts, partials and imports are resolved before compilation (links.py).
Everything that could grow is metered (meter.py): each operation that makes a text, a list or a
number, each turn of a loop, each macro call. `{{ order.items }}` is the mapping's entry, no method.
"""

from __future__ import annotations

import functools
import re
from collections.abc import ItemsView, Iterable, KeysView, Sized, ValuesView
from datetime import date, timedelta
from datetime import time as time_of_day
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateRuntimeError, TemplateSyntaxError, UndefinedError
from jinja2.meta import TrackingCodeGenerator
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer
from markupsafe import escape

from notifications.rendering.language.filters import FILTERS, GUARDS, TESTS
from notifications.rendering.language.meter import (
    AT_WORK,
    LARGE,
    LETTERS_AT_ONCE,
    MAX_BITS,
    MAX_STEPS,
    METER,
    LimitReached,
    check_length,
    check_shown,
    check_text,
)
from notifications.rendering.language.operators import check_numbers, check_sized
from notifications.rendering.language.trees import find_all, size_of

MAX_LOOP_DEPTH = 2
_TICKS = 32  # turns of a loop between checks of the time
_LIGHT_BODY = 100  # nodes of a loop's body above which the time is checked more often
_PLAIN_KEYS = frozenset({str, int, slice})
_VIEWS = (ItemsView, KeysView, ValuesView)
_SPECIAL = re.compile("[&<>\"']")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_METHODS: tuple[tuple[type | tuple[type, ...], frozenset[str]], ...] = (
    (
        str,
        _words(
            "capitalize casefold count endswith find isalpha isdigit islower isnumeric isupper"
            " lower lstrip partition removeprefix removesuffix rpartition rstrip split splitlines"
            " startswith strip swapcase title upper"
        ),
    ),
    (dict, _words("get items keys values")),
    ((list, tuple), _words("count index")),
    (
        (date, time_of_day, timedelta),
        _words(
            "day hour isoformat isoweekday minute month second weekday year date time days seconds"
            " total_seconds"
        ),
    ),
    (
        LoopContext,
        _words(
            "index index0 revindex revindex0 first last length depth depth0 previtem nextitem"
            " cycle changed"
        ),
    ),
)
_SEARCHING_LETTERWISE = _words("strip lstrip rstrip rpartition")
"""Methods of texts that may scan their whole argument for each letter of the text."""
_FORBIDDEN: dict[type[nodes.Node], str] = {
    nodes.CallBlock: "call blocks",
    nodes.FilterBlock: "filter blocks",
    nodes.AssignBlock: "set blocks ({% set x %}...{% endset %}); write {% set x = ... %}",
}


@functools.lru_cache(maxsize=256)
def _reachable(kind: Any) -> frozenset[str]:
    """Returns the methods that templates may use on values of a type."""
    return next((names for base, names in _METHODS if issubclass(kind, base)), frozenset())


class MissingVariable(UndefinedError):
    """A variable is missing in the context."""

    def __init__(self, message: str | None = None, *, name: str = "", owner: Any = None) -> None:
        super().__init__(message)
        self.name = name
        self.owner = owner


class NamedUndefined(StrictUndefined):
    """StrictUndefined whose error stores the variable's name and the object without it."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = None, name: str | None = None, exc: Any = None
    ) -> None:
        kind: Any = exc or functools.partial(MissingVariable, name=name or "", owner=obj)
        if obj is None:
            super().__init__(hint, name=name, exc=kind)
        else:
            super().__init__(hint, obj, name, kind)


def _shown_in_text(value: Any) -> str:
    if type(value) is str:
        return value
    check_shown(value)
    return str(value)


def _shown_in_html(value: Any) -> str:
    """Works as `escape`, but faster: most values contain nothing to escape."""
    if type(value) is str and _SPECIAL.search(value) is None:
        return value
    if isinstance(value, str) and len(value) > LARGE:
        AT_WORK.meter.spend(len(value))  # escaping copies the value; other values are not copied
    check_shown(value)
    return escape(value)


class _Generator(CodeGenerator):
    """Jinja's code generator; output passes through `shown` instead of str or escape."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        try:
            if callable(node.as_const(frame.eval_ctx)):
                raise nodes.Impossible  # the render refuses it
            return super()._output_child_to_const(node, frame, finalize)
        except (TemplateRuntimeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise nodes.Impossible from error  # the render reports it

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        # The output of a macro is collected before it is returned, so each part is counted here.
        self.write(
            "environment.shown(" if frame.buffer is None else "environment.gathered(context, "
        )


class _Names(TrackingCodeGenerator, _Generator):
    """Finds the variables that a template reads and does not set; evaluates nothing."""

    def __init__(self, environment: Sandbox) -> None:
        CodeGenerator.__init__(self, environment, "<names>", "<names>", optimized=False)
        self.undeclared_identifiers = set()


def free_names(tree: nodes.Template, environment: Sandbox) -> frozenset[str]:
    """Returns the variables that a template reads from its context."""
    names = _Names(environment)
    names.visit(tree)
    return frozenset(names.undeclared_identifiers)


def _bounded_range(*args: int) -> range:
    found = range(*args)
    if len(found) > MAX_STEPS:
        raise LimitReached(f"range() is longer than {MAX_STEPS:,}")
    return found


def _bounded_concat(parts: Iterable[str]) -> str:
    """Joins the output of a macro."""
    output = list(parts)
    check_text(sum(map(len, output)))
    return "".join(output)


class Sandbox(ImmutableSandboxedEnvironment):
    """A Jinja2 environment for untrusted authors; with `html`, values are escaped."""

    code_generator_class = _Generator
    concat = staticmethod(_bounded_concat)
    intercepted_binops = frozenset({"+", "-", "*", "**", "/", "//", "%"})

    def __init__(self, *, html: bool) -> None:
        # The optimizer is off: it would evaluate constants without the meter, and repeatedly for
        # each level of an expression.
        super().__init__(autoescape=html, undefined=NamedUndefined, cache_size=0, optimized=False)
        self.filters = {**FILTERS, **GUARDS}
        self.tests = dict(TESTS)
        self.globals = {"range": _bounded_range, "namespace": Namespace}
        self.shown = _shown_in_html if html else _shown_in_text

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Returns a mapping's entry before its methods, without raising an exception on the way."""
        if type(obj) is dict:
            try:
                return obj[attribute]
            except KeyError:
                pass
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if attr.startswith("_"):
            return False
        kind: Any = type(obj)
        return attr in _reachable(kind) or isinstance(obj, Namespace)

    def wrap_str_format(self, value: Any) -> None:
        """Forbids all format methods: `'{:999999999}'.format(1)` would fill the memory."""
        return

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Checks the key first: an error would write it, even an unbounded list of lists."""
        if type(argument) not in _PLAIN_KEYS:
            check_shown(argument)
        return super().getitem(obj, argument)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls an allowed method or function, or a macro, and counts the work."""
        meter = context.parent[METER]
        if type(obj) is Macro:
            with meter.call():
                return context.call(obj, *args, **kwargs)
        if type(obj) is LoopContext or isinstance(obj, Undefined):
            return context.call(obj, *args, **kwargs)  # raises: neither is callable
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, LoopContext | list | tuple):  # changed, count and index compare
            for each in (*args, *kwargs.values()):
                meter.charge(each)
        if owner is not None and not isinstance(owner, LoopContext):
            meter.charge(owner)
        if isinstance(owner, str):
            return _call_of_text(context, owner, obj, args, kwargs)
        found = context.call(obj, *args, **kwargs)
        # The meter does not count views as lists: nested views would be free and unbounded.
        return list(found) if isinstance(found, _VIEWS) else found

    def gathered(self, context: Context, value: Any) -> Any:
        """Counts and returns a part of a macro's output."""
        text = self.shown(value)
        context.parent[METER].charge(text)
        return text

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if type(left) is int and type(right) is int:
            check_numbers(operator, left, right)
        elif isinstance(left, Sized) or isinstance(right, Sized):
            check_sized(context, operator, left, right)
        return self.binop_table[operator](left, right)

    def check(self, tree: nodes.Template) -> None:
        """Refuses statements, filters, tests, numbers and names that templates may not use.

        Raises:
            TemplateSyntaxError: with the line.
        """
        for kind, word in _FORBIDDEN.items():
            for node in find_all(tree, kind):
                raise TemplateSyntaxError(f"templates may not use {word}", node.lineno)
        for name in ("filter", "test"):
            known = FILTERS if name == "filter" else self.tests
            for used in find_all(tree, nodes.Filter if name == "filter" else nodes.Test):
                if used.name not in known:
                    raise TemplateSyntaxError(f"there is no {name} {used.name!r}", used.lineno)
        for written in find_all(tree, nodes.Const):
            if isinstance(written.value, int) and written.value.bit_length() > MAX_BITS:
                raise TemplateSyntaxError("a number is too long", written.lineno)
        for named in find_all(tree, nodes.Name):
            if named.name == "self" or (named.name.startswith("_") and named.name != "_"):
                raise TemplateSyntaxError(
                    f"templates may not use the name {named.name!r}", named.lineno
                )
        _check_loops(tree, 0)

    def guard(self, tree: nodes.Template) -> None:
        """Puts loops, `~`, lists and mappings under the meter."""
        _Guard().visit(tree)


def _call_of_text(
    context: Context, owner: str, method: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Calls a text's method and bounds the lists that it makes."""
    name = method.__name__
    if name in _SEARCHING_LETTERWISE:
        for each in (*args, *options.values()):
            if isinstance(each, str):
                context.parent[METER].spend(len(owner) * len(each) // LETTERS_AT_ONCE)
    if name == "splitlines":
        check_text(len(owner))
    elif name in ("split", "rsplit"):
        given = dict(zip(("sep", "maxsplit"), args, strict=False)) | options
        most = given.get("maxsplit", -1)
        if not isinstance(most, int) or not 0 <= most <= MAX_STEPS:
            given["maxsplit"] = MAX_STEPS
        args, options = (), given
    found = context.call(method, *args, **options)
    if isinstance(found, list):
        check_length(len(found))
    return found


def _check_loops(node: nodes.Node, depth: int) -> None:
    if isinstance(node, nodes.For):
        depth += 1
        if node.recursive:
            raise TemplateSyntaxError("loops may not be recursive", node.lineno)
        if depth > MAX_LOOP_DEPTH:
            raise TemplateSyntaxError(
                f"loops may be nested at most {MAX_LOOP_DEPTH} deep", node.lineno
            )
    for child in node.iter_child_nodes():
        _check_loops(child, depth)


def _under(guard: str, node: Any, *values: Any) -> nodes.Filter:
    given = [nodes.Const(each, lineno=node.lineno) for each in values]
    return nodes.Filter(node, guard, given, [], None, None, lineno=node.lineno)


class _Guard(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        inside = sum(map(size_of, (*node.body, *node.else_)))
        ticks = max(1, _TICKS * _LIGHT_BODY // (inside + 1)) if inside > _LIGHT_BODY else _TICKS
        node.iter = _under("_loop", node.iter, ticks)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Getitem:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _under("_searched", node.node)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:
        self.generic_visit(node)
        sides = [node.expr, *(operand.expr for operand in node.ops)]
        written_out = [isinstance(each, nodes.Const) for each in sides]
        guarded = list(sides)
        for place, operand in enumerate(node.ops, start=1):
            if operand.op in ("in", "notin"):
                guarded[place] = _under("_comparable", sides[place])
            elif not (written_out[place - 1] or written_out[place]):
                guarded[place - 1] = _under("_comparable", sides[place - 1])
                guarded[place] = _under("_comparable", sides[place])
        node.expr = guarded[0]
        for operand, side in zip(node.ops, guarded[1:], strict=True):
            operand.expr = side
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        return _under("_concat", nodes.List(node.nodes, lineno=node.lineno))

    def visit_List(self, node: nodes.List) -> nodes.Expr:
        self.generic_visit(node)
        plain = all(isinstance(item, nodes.Const) for item in node.items)
        return node if plain else _under("_literal", node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        self.generic_visit(node)
        plain = node.ctx != "load" or all(isinstance(item, nodes.Const) for item in node.items)
        return node if plain else _under("_literal", node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:
        self.generic_visit(node)
        return _under("_literal", node) if node.items else node
