"""The filters of templates: Jinja's harmless ones under the meter, and our own.

Our filters for numbers, money and times read the locale and the time zone of the message from the
render call (`_formats` in the context), never from a global.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from datetime import datetime
from typing import Any

from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.filters import make_multi_attrgetter
from jinja2.runtime import Context, Undefined, markup_join, str_join
from jinja2.tests import TESTS as JINJA_TESTS
from jinja2.utils import Namespace, htmlsafe_json_dumps, pass_context
from markupsafe import Markup, escape, soft_str

from notifications.infra import clock
from notifications.rendering.language.formats import FormatFault, Formats
from notifications.rendering.language.meter import (
    LETTERS_AT_ONCE,
    METER,
    LimitReached,
    Meter,
    check_length,
    check_number,
    check_text,
)

FORMATS = "_formats"
_AS_THEY_ARE = "abs count d default first items last length"
_WALKING = "list map reject rejectattr reverse select selectattr"
_COMPARING = "dictsort max min sort unique"
_METERED = "capitalize e escape forceescape lower safe string truncate upper"
_TAKING_APART = "striptags title urlencode wordcount"
_COMPARING_TESTS = "eq equalto == ne != lt lessthan < le <= gt greaterthan > ge >= in lower upper"
_REMAINDER_TESTS = "divisibleby even odd"
_MAX_STEPS_OF_PATH = 20
_WORDS_TAKE = 4
_PARTS_TAKE = 10
"""Cost of splitting a text into words, or into parts, as a multiple of the cost of a copy."""


def _given(value: Any) -> Any:
    """Returns the value; a missing variable raises the error that names it."""
    if isinstance(value, Undefined):
        str(value)
    return value


def _meter(context: Context) -> Meter:
    found: Meter = context.parent[METER]
    return found


def _metered(name: str, times: int) -> Callable[..., Any]:
    """Returns one of Jinja's text filters, with its input metered."""
    function = _with_context(name)

    @pass_context
    def apply(context: Context, value: Any, *args: Any, **options: Any) -> Any:
        _meter(context).charge(value, times)
        return function(context, value, *args, **options)

    return apply


def _number(name: str) -> Callable[..., Any]:
    """Returns `int` or `float` with a bounded result: hexadecimal texts can have any length."""
    function = _with_context(name)

    @pass_context
    def apply(context: Context, value: Any, *args: Any, **options: Any) -> Any:
        _meter(context).charge(value)
        return check_number(function(context, value, *args, **options))

    return apply


def _walking(name: str) -> Callable[..., Any]:
    """Returns one of Jinja's list filters, with the items that it visits metered."""
    function = _with_context(name)

    @pass_context
    def apply(context: Context, value: Any, *args: Any, **options: Any) -> Any:
        _check_paths(args, options)
        if args and isinstance(args[0], str) and args[0].startswith("_"):
            raise FormatFault(f"there is no filter or test {args[0]}")
        if not isinstance(value, Undefined):
            value = _meter(context).walked(value)
        return function(context, value, *args, **options)

    return apply


def _comparing(name: str) -> Callable[..., Any]:
    """Returns one of Jinja's filters that compare items, with all compared values metered.

    When case is ignored, each text is copied too: all of them before the first comparison.
    """
    function = _with_context(name)

    @pass_context
    def apply(context: Context, value: Any, *args: Any, **options: Any) -> Any:
        _check_paths(args, options)
        meter = _meter(context)
        if isinstance(value, dict):
            meter.charge(value)
        elif not isinstance(value, Undefined):
            value = list(meter.walked(value))
            for key in _compared(context, value, options.get("attribute")):
                meter.charge(key)
        return function(context, value, *args, **options)

    return apply


def _compared(context: Context, items: list[Any], attribute: Any) -> Iterable[Any]:
    """Returns the values that a filter compares: the items, or their attributes."""
    if attribute is None:
        return items
    getter = make_multi_attrgetter(context.environment, attribute)
    return ([_given(each) for each in getter(item)] for item in items)


def _check_paths(args: Iterable[Any], options: Mapping[str, Any]) -> None:
    """Refuses long attribute paths: each step costs time for every item of a list."""
    for each in (*args, *options.values()):
        if isinstance(each, str) and each.count(".") + each.count(",") > _MAX_STEPS_OF_PATH:
            raise LimitReached(f"an attribute's path has more than {_MAX_STEPS_OF_PATH} steps")


def _comparing_test(name: str) -> Callable[..., bool]:
    """Returns one of Jinja's tests that compare or write values, with the values metered."""
    function: Any = JINJA_TESTS[name]

    @pass_context
    def apply(context: Context, value: Any, *args: Any) -> bool:
        meter = _meter(context)
        for each in (value, *args):
            if not isinstance(each, Undefined):
                meter.charge(each)
        return bool(function(value, *args))

    return apply


def _remainder_test(name: str) -> Callable[..., bool]:
    """Returns one of Jinja's tests that compute `%`, limited to numbers: on texts `%` formats."""
    function: Any = JINJA_TESTS[name]

    def apply(value: Any, *args: Any) -> bool:
        if isinstance(_given(value), Sized):
            raise FormatFault(f"the test {name} needs a number")
        return bool(function(value, *args))

    return apply


def _with_context(name: str) -> Callable[..., Any]:
    """Returns one of Jinja's filters in a form that takes the context first."""
    function: Callable[..., Any] = JINJA_FILTERS[name]
    passed = str(getattr(getattr(function, "jinja_pass_arg", None), "name", ""))
    takes = {
        "context": lambda context: (context,),
        "eval_context": lambda context: (context.eval_ctx,),
        "environment": lambda context: (context.environment,),
    }.get(passed, lambda context: ())

    def apply(context: Context, value: Any, *args: Any, **options: Any) -> Any:
        return function(*takes(context), value, *args, **options)

    return apply


def _formatting(name: str) -> Callable[..., str]:
    """Returns a filter that calls a method of the render's Formats."""
    method: Callable[..., str] = getattr(Formats, f"as_{name}")

    @pass_context
    def apply(context: Context, value: Any, *args: Any, **options: Any) -> str:
        _meter(context).charge(value)
        return method(context.parent[FORMATS], _given(value), *args, **options)

    return apply


@pass_context
def _time_ago(context: Context, value: Any) -> str:
    now = context.parent.get("current_time")
    formats: Formats = context.parent[FORMATS]
    return formats.time_ago(_given(value), now if isinstance(now, datetime) else clock.now())


@pass_context
def _truncate_words(context: Context, text: Any, length: int = 50) -> str:
    _meter(context).charge(text, _WORDS_TAKE)
    check_length(length)
    words = str(text).split(None, length)
    return str(text) if len(words) <= length else " ".join(words[:length]) + "..."


@pass_context
def _loop(context: Context, items: Any, ticks: int) -> Any:
    """Wraps the items of a `for`."""
    return _meter(context).loop(items, ticks)


@pass_context
def _searched(context: Context, value: Any) -> Any:
    """Wraps a value that `in` searches or that `[1:9]` copies from."""
    if isinstance(value, Sized) and not isinstance(value, Undefined):
        _meter(context).spend(len(value))
    return value


@pass_context
def _literal(context: Context, value: Any) -> Any:
    """Wraps a list or mapping that is written in the template."""
    _meter(context).charge(value)
    return value


@pass_context
def _comparable(context: Context, value: Any) -> Any:
    """Wraps both sides of a comparison in which neither is a constant."""
    if not isinstance(value, Undefined | Namespace):
        _meter(context).charge(value)
    return value


@pass_context
def _concat(context: Context, parts: list[Any]) -> str:
    """Implements `~`."""
    meter = _meter(context)
    check_text(sum(meter.charge(part) for part in parts))
    return markup_join(parts) if context.eval_ctx.autoescape else str_join(parts)


@pass_context
def _join(context: Context, value: Iterable[Any], d: Any = "", attribute: Any = None) -> Any:
    meter = _meter(context)
    items = list(meter.loop(value))
    meter.charge(d)
    _check_paths([attribute], {})
    if attribute is not None:
        items = [context.environment.getitem(item, attribute) for item in items]
    separator = soft_str(d)
    check_text(sum(meter.charge(item) for item in items if isinstance(item, str)))
    check_text(len(separator) * len(items))
    for item in items:
        if not isinstance(item, str):
            meter.charge(item)
    if context.eval_ctx.autoescape:
        return Markup(escape(d)).join(items)  # noqa: S704 -- escaped here, and join escapes items
    return separator.join(map(str, items))


@pass_context
def _replace(context: Context, text: Any, old: Any, new: Any, count: int = -1) -> Any:
    _meter(context).charge(text)
    _meter(context).charge(old)
    _meter(context).charge(new)
    source = escape(text) if context.eval_ctx.autoescape else soft_str(text)
    old, new = soft_str(old), soft_str(new)
    if not old:
        raise FormatFault("replace needs a text to replace")
    check_text(len(source) + source.count(old) * len(new))
    return source.replace(old, new, count)


@pass_context
def _trim(context: Context, text: Any, chars: str | None = None) -> Any:
    meter = _meter(context)
    size = meter.charge(text)
    if chars is not None:
        meter.spend(size * meter.charge(chars) // LETTERS_AT_ONCE)
    return soft_str(text).strip(chars)


def _round(value: Any, precision: int = 0) -> Any:
    return round(_given(value), max(-12, min(12, int(precision))))


@pass_context
def _sum(context: Context, items: Iterable[Any], attribute: Any = None) -> Any:
    values = _meter(context).loop(items)
    if attribute is not None:
        return sum(context.environment.getitem(item, attribute) for item in values)
    return sum(values)


@pass_context
def _tojson(context: Context, value: Any) -> Markup:
    _meter(context).charge(value)
    return htmlsafe_json_dumps(value, default=str)


FILTERS: dict[str, Callable[..., Any]] = {
    **{name: JINJA_FILTERS[name] for name in _AS_THEY_ARE.split()},
    **{name: _metered(name, 1) for name in _METERED.split()},
    **{name: _metered(name, _PARTS_TAKE) for name in _TAKING_APART.split()},
    **{name: _number(name) for name in ("int", "float")},
    **{name: _comparing(name) for name in _COMPARING.split()},
    **{name: _walking(name) for name in _WALKING.split()},
    **{
        name: _formatting(name)
        for name in ("currency", "number", "percent", "date", "time", "datetime")
    },
    "time_ago": _time_ago,
    "truncate_words": _truncate_words,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "sum": _sum,
    "tojson": _tojson,
    "trim": _trim,
}
GUARDS: dict[str, Callable[..., Any]] = {
    "_loop": _loop,
    "_searched": _searched,
    "_literal": _literal,
    "_comparable": _comparable,
    "_concat": _concat,
}
"""Filters that the sandbox puts around parts of a template; authors cannot use them."""
TESTS: dict[str, Any] = {
    **JINJA_TESTS,
    **{name: _comparing_test(name) for name in _COMPARING_TESTS.split()},
    **{name: _remainder_test(name) for name in _REMAINDER_TESTS.split()},
}
