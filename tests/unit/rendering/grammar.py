"""Generates random templates from everything that a template may contain.

A production contains `<kinds>` as placeholders of others. Below some depth a kind becomes a leaf.
"""

from __future__ import annotations

import random
import re

from notifications.rendering.language.filters import FILTERS, TESTS

DEPTHS = (2, 3, 4, 5, 7)
CONTEXT = {
    "word": "Alice",
    "text": "lorem <b>ipsum</b> & dolor, " * 400,
    "big": "a1 <b>&amp; Ünïcödé \U0001f389 " * 3_000,
    "number": 7,
    "huge": 2**63 - 1,
    "price": "29.99",
    "at": "2026-03-08T12:00:00+00:00",
    "items": [{"name": f"item {n}", "price": n * 1.5, "tags": ["a", "b"]} for n in range(200)],
    "many": list(range(5_000)),
    "nest": [[n, [n, [n]]] for n in range(500)],
    "deep": {"a": {"b": {"c": {"d": [1, 2, {"e": "f"}]}}}},
    "empty": [],
    "user": {"first_name": "Ann", "timezone": "Europe/Paris"},
}
_NUMBERS = "0 1 -1 2 3 7 10 99 255 1000 4096 9999 10000 99999 1000000 1.5 1e300 1e999"
LEAVES = {
    "text": "word text big price at 'x' '<b>' user.first_name",
    "number": f"number huge {_NUMBERS}",
    "list": "many nest items empty range(99) ns.s deep",
    "any": f"missing none true current_time loop.index ns.t ns deep range({10**9}) <text> <list>",
    "sign": "+ - * / // % **",
    "than": "== != < > <= >= in",
    "filter": " ".join(FILTERS),
    "test": " ".join(each for each in TESTS if each.isalpha() and each != "in"),
    "case": "capitalize e escape forceescape lower string striptags title trim truncate upper"
    " urlencode truncate_words tojson",
    "written": "number percent currency currency('JPY') round(2) string",
    "attribute": "name price tags q 0 a.b.c tags.0",
    "ns": "ns.s ns.t",
    "turns": "2 8 20 60 1000",
}
PRODUCTIONS = {
    "text": [
        "(<text>)|<case>",
        "(<text>)|<case>",
        "(<text>)|replace(<text>, <text>)",
        "(<text> ~ <expression>)",
        "(<text> + <text>)",
        "(<text> * <number>)",
        "(<text>)[::-1]",
        "(<text>)[1:<number>]",
        "(<text>).upper()",
        "(<text>).partition(<text>)|first",
        "(<list>)|join(<text>)",
        "(<list>)|tojson",
        "(<list>)|string",
        "(<number>)|<written>",
        "at|datetime('long')",
        "at|time_ago",
        "(<text> if <any> else <text>)",
    ],
    "number": [
        "(<number> <sign> <number>)",
        "(<text>)|length",
        "(<text>)|wordcount",
        "(<text>)|int(0, 16)",
        "(<text>)|float",
        "(<list>)|length",
        "(<list>)|sum",
        "(<list>)|max",
        "(<number>)|abs",
        "(<number>)|round",
        "(<text>).count(<text>)",
        "(<list>).count(<expression>)",
        "(<list> <than> <list>)",
        "(<text> <than> <text>)",
    ],
    "list": [
        "(<list>)|sort",
        "(<list>)|unique|list",
        "(<list>)|reverse|list",
        "(<list>)|map('<case>')|list",
        "(<list>)|map('<filter>')|list",
        "(<list>)|map(attribute='<attribute>', default=<expression>)|list",
        "(<list>)|select('<test>', <expression>)|list",
        "items|selectattr('<attribute>', '<test>', <number>)|list",
        "items|sort(attribute='<attribute>')",
        "(<list> + <list>)",
        "(<list>)[::-1]",
        "(<text>).split()",
        "(<text>).splitlines()",
        "(<text>)|list",
        "[<expression>, <expression>]",
        "(<expression>, <expression>)",
        "{'k': <expression>, 'l': <expression>}",
        "range(<number>)|list",
        "deep|dictsort",
        "deep.items()|list",
    ],
    "any": [
        "(<any>)|<filter>",
        "(<any>)|<filter>(<expression>)",
        "(<any>)|<filter>(<expression>, <expression>)",
        "(<expression> is <test>)",
        "(<expression> is <test>(<expression>))",
        "(<expression> <sign> <expression>)",
        "(<expression> <than> <expression>)",
        "(<expression>)[<expression>]",
        "(<expression>).get(<expression>)",
        "not <expression>",
        "-<number>",
    ],
    "expression": ["<text>", "<number>", "<list>", "<any>"],
    "growing": [
        "[0, 1]|map(attribute='q', default=<ns>)|list",
        "[<ns>, <ns>]",
        "(<ns>, <ns>)",
        "<ns> ~ <ns>",
        "<ns> + <ns>",
        "{'a': <ns>, 'b': <ns>}",
        "<ns> * 2",
        "[<ns>]|map('string')|join(<ns>|string)",
        "(<ns>|string)|replace('a', <ns>|string)",
        "(<ns>|string)|urlencode|forceescape",
        "<ns>|list + <ns>|list",
    ],
    "statement": [
        "{{ <expression> }}",
        "{{ <expression> }}",
        "{{ <text> }}",
        "{% set <ns> = <expression> %}",
        "{% for i in range(<turns>) %}{% set <ns> = <growing> %}{% endfor %}",
        "{% for x in <list> %}<statement>{% endfor %}",
        "{% for x in <list> if x is <test> %}{{ loop.changed(<expression>) }}{% endfor %}",
        "{% if <any> %}<statement>{% else %}<statement>{% endif %}",
        "{% macro m(x=1) %}<statement>{{ x }}{% endmacro %}{{ m(<expression>) }}",
    ],
}
_PLACE = re.compile("<([a-z]+)>")
_MARKUP = {"b"}


class Grammar:
    """A generator of templates; the same seed gives the same templates."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._depth = self._random.choice(DEPTHS)

    def template(self) -> str:
        """Returns a whole text."""
        parts = [self.grown("statement", 0) for _ in range(self._random.randint(1, 4))]
        return "".join(["{% set ns = namespace(s=[1], t='x') %}", *parts])

    def grown(self, kind: str, depth: int) -> str:
        """Returns a random instance of a kind."""
        if kind in PRODUCTIONS and (depth < self._depth or kind not in LEAVES):
            chosen = self._random.choice(PRODUCTIONS[kind])
        else:
            chosen = self._random.choice(LEAVES[kind].split(" "))
        if chosen.startswith("'"):
            return chosen
        return _PLACE.sub(lambda place: self._put(place, depth + 1), chosen)

    def _put(self, place: re.Match[str], depth: int) -> str:
        return place[0] if place[1] in _MARKUP else self.grown(place[1], depth)
