"""The filters of templates: Jinja's harmless ones under the meter, and our own.

Those of ours that write numbers, money and times read the locale and the zone of the message from
the render call (`_formats` in the context), never from a global.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from datetime import datetime
from typing import Any

from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import Context, Undefined, markup_join, str_join
from jinja2.utils import htmlsafe_json_dumps, pass_context
from markupsafe import Markup, escape, soft_str

from notifications.infra import clock
from notifications.rendering.formats import FormatFault, Formats
from notifications.rendering.meter import METER, Meter, check_text

FORMATS = "_formats"
_AS_THEY_ARE = "abs count d default first float int items last length safe"
_WALKING = "dictsort list map max min reject rejectattr reverse select selectattr sort unique"
_METERED = (
    "capitalize e escape forceescape lower string striptags title trim truncate upper urlencode"
    " wordcount"
)


def _given(value: Any) -> Any:
    """The value; a missing variable raises the error that names it."""
    if isinstance(value, Undefined):
        str(value)
    return value


def _meter(context: Context) -> Meter:
    found: Meter = context.parent[METER]
    return found


def _metered(name: str) -> Callable[..., Any]:
    """One of Jinja's own text filters, its input counted."""
    function = _with_context(name)

    @pass_context
    def apply(context: Context, value: Any, *args: Any, **options: Any) -> Any:
        _meter(context).charge(value)
        return function(context, value, *args, **options)

    return apply


def _walking(name: str) -> Callable[..., Any]:
    """One of Jinja's own filters of lists, what it goes through counted."""
    function = _with_context(name)

    @pass_context
    def apply(context: Context, value: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(value, Undefined):
            value = _meter(context).walked(value)
        return function(context, value, *args, **options)

    return apply


def _with_context(name: str) -> Callable[..., Any]:
    """One of Jinja's own filters, called with the context whatever it asks for."""
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
    """A filter that is a method of the render's Formats."""
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
    _meter(context).charge(text)
    words = str(text).split()
    return str(text) if len(words) <= length else " ".join(words[:length]) + "..."


@pass_context
def _loop(context: Context, items: Any, ticks: int) -> Any:
    """Stands around what a `for` goes through."""
    return _meter(context).loop(items, ticks)


@pass_context
def _searched(context: Context, value: Any) -> Any:
    """Stands around what `in` looks into, and what `[1:9]` copies of."""
    if isinstance(value, Sized) and not isinstance(value, Undefined):
        _meter(context).spend(len(value))
    return value


@pass_context
def _literal(context: Context, value: Any) -> Any:
    """Stands around a list or mapping that is written in the template."""
    _meter(context).charge(value)
    return value


@pass_context
def _concat(context: Context, parts: list[Any]) -> str:
    """What `~` becomes."""
    meter = _meter(context)
    check_text(sum(meter.charge(part) for part in parts))
    return markup_join(parts) if context.eval_ctx.autoescape else str_join(parts)


@pass_context
def _join(context: Context, value: Iterable[Any], d: Any = "", attribute: Any = None) -> Any:
    meter = _meter(context)
    items = list(meter.loop(value))
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
    source = escape(text) if context.eval_ctx.autoescape else soft_str(text)
    old, new = soft_str(old), soft_str(new)
    if not old:
        raise FormatFault("replace needs the text that is to be replaced")
    check_text(len(source) + source.count(old) * len(new))
    return source.replace(old, new, count)


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
    **{name: _metered(name) for name in _METERED.split()},
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
}
GUARDS: dict[str, Callable[..., Any]] = {
    "_loop": _loop,
    "_searched": _searched,
    "_literal": _literal,
    "_concat": _concat,
}
"""Put around parts of a template by the sandbox; authors cannot name them."""
