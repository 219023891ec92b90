"""Which texts only insert values: rendering them costs no more than writing them down.

Such texts may be rendered anywhere. Nothing in them repeats, computes or calls: they hold words,
variables with their entries, conditions on those, and filters that read their value once. This is
a list of what is allowed, and what is not on it is not simple.
"""

from __future__ import annotations

from jinja2 import nodes
from jinja2.exceptions import TemplateError

from notifications.domain.channels import Channel
from notifications.rendering.engine import TEXT
from notifications.rendering.render import FIELDS_OF_CHANNEL, HTML_FIELD, CompiledVersion

MAX_CHARACTERS = 8_000
"""Of all texts of a channel together: they are parsed and compiled where they are rendered."""
MAX_NODES = 400
_NODES = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Getattr,
    nodes.Const,
    nodes.Filter,
    nodes.If,
    nodes.Not,
    nodes.And,
    nodes.Or,
    nodes.Test,
    nodes.Keyword,
)
_FILTERS = frozenset(
    {
        *("default", "d", "upper", "lower", "capitalize", "trim", "escape", "e"),
        *("currency", "number", "percent", "date", "time", "datetime", "time_ago"),
    }
)
"""They read a text once, or write one number or time of bounded size."""
_TESTS = frozenset({"defined", "undefined", "none"})
_MAIL_FIELDS = ("email_subject_template",)


def is_simple(version: CompiledVersion, channel: str) -> bool:
    """Whether all that a version may say on a channel only inserts values. Asked once of each."""
    found = version.simple.get(channel)
    if found is None:
        found = version.simple[channel] = _is_simple(version, channel)
    return found


def _is_simple(version: CompiledVersion, channel: str) -> bool:
    fields = (*FIELDS_OF_CHANNEL[channel], *(_MAIL_FIELDS if channel == Channel.EMAIL else ()))
    texts = [
        (field, source)
        for each in version.content.values()
        for field in fields
        if (source := each.get(field))
    ]
    if any(field == HTML_FIELD for field, _ in texts):
        return False  # its styles are inlined, and a text part is made of it
    if sum(len(source) for _, source in texts) > MAX_CHARACTERS:
        return False
    return all(_only_inserts(source) for _, source in texts)


def _only_inserts(source: str) -> bool:
    try:
        tree = TEXT.parse(source)
    except (TemplateError, SyntaxError, ValueError, RecursionError):
        return False  # a render process says what is wrong with it
    waiting: list[nodes.Node] = [tree]
    seen = 0
    while waiting:
        node = waiting.pop()
        seen += 1
        if seen > MAX_NODES or type(node) not in _NODES or not _is_allowed(node):
            return False
        waiting.extend(node.iter_child_nodes())
    return True


def _is_allowed(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in _FILTERS and not (node.dyn_args or node.dyn_kwargs)
    if isinstance(node, nodes.Test):
        return node.name in _TESTS and not node.args
    return True
