"""Hostile templates: each is stopped with a clear error."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from notifications.domain.errors import TemplateFault
from notifications.rendering import NotificationTemplateEngine

BIG = "x " * 40_000
CONTEXT = {
    "user": {"first_name": "Ann", "items": [1, 2]},
    "big": BIG,
    "at": datetime(2026, 1, 1, tzinfo=UTC),
    "nest": [[n, {"a": n}] for n in range(2_000)],
}
DOUBLED = 40


def show(source: str, *, html: bool = False) -> str:
    return NotificationTemplateEngine().render_template(source, CONTEXT, html=html)


REACHING_OUT = [
    "{{ ''.__class__.__mro__ }}",
    "{{ user['__class__'] }}",
    "{{ user|attr('__class__') }}",
    "{{ self._TemplateReference__context }}",
    "{{ self.__init__.__globals__ }}",
    "{{ range.__self__ }}",
    "{{ namespace.__init__ }}",
    "{{ at.__reduce__() }}",
    "{{ '{0.__class__}'.format(user) }}",
    "{{ 'x'['format'](1) }}",
    "{{ '%s' % user }}",
    "{{ user.items.append(3) }}",
    "{{ cycler }}",
    "{{ lipsum() }}",
    "{% include 'x' %}",
    "{% extends 'x' %}",
    "{% import 'x' as y %}",
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{% set x %}y{% endset %}",
    "{% for x in nest recursive %}{{ loop(x) }}{% endfor %}",
    "{{ 1|_loop }}",
    "{{ user|map('_concat')|list|first|_literal }}",
]
GROWING = [
    "{{ 'a' * 100000000 }}",
    "{{ 100000000 * 'a' }}",
    "{{ [1] * 100000000 }}",
    "{{ range(100000000) }}",
    "{{ 'x'.center(1000000000) }}",
    "{{ 'x'|center(1000000000) }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ 9 ** 999999999 }}",
    "{{ 'x'|tojson(indent=999999999) }}",
    "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x ~ x %}" * DOUBLED,
    "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x + x %}" * DOUBLED,
    "{% set x = 'aaaaaaaaaa' %}" + "{% set x = [x, x]|join %}" * DOUBLED,
    "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x|replace('a', 'aaaaaaaaaa') %}" * DOUBLED,
    "{% set x = 99 %}" + "{% set x = x * x %}" * DOUBLED,
    "{% set x = [1, 1] %}" + "{% set x = [x, x] %}" * DOUBLED + "{{ x }}",
    "{% set x = [1, 1] %}" + "{% set x = (x, x) %}" * DOUBLED + "{{ x|string }}",
    "{% set x = [1, 1] %}" + "{% set x = {'a': x, 'b': x} %}" * DOUBLED + "{{ x|tojson }}",
    "{% set x = [1] %}" + "{% set x = x + x %}" * DOUBLED,
    "{% set n = namespace() %}{% set n.a = n %}{{ n }}",
    "{{ nest }}",
    "{% for x in range(5000) %}{{ 'y' * 1000 }}{% endfor %}",
]
RUNNING = [
    "{% for a in nest %}{% for b in nest %}{% for c in nest %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in range(200) %}{% for b in range(200) %}x{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}" + "{% set y = 1 + 1 %}" * 500 + "{% endfor %}",
    "{% for a in range(9999) %}{% set y = big|upper %}{% endfor %}",
    "{% set y = big|title %}" * 500,
    "{% set y = big.split() %}" * 500,
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "-" * 30_000 + "1 }}",
    "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "x" * 200_000,
]


@pytest.mark.parametrize("source", REACHING_OUT)
def test_nothing_but_data_can_be_reached(source: str) -> None:
    with pytest.raises(TemplateFault) as caught:
        show(source)

    assert caught.value.code in (
        "template_error",
        "template_syntax",
        "missing_variable",
        "unknown_reference",
    )


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("source", GROWING, ids=range(len(GROWING)))
def test_nothing_grows_without_end(source: str, html: bool) -> None:
    with pytest.raises(TemplateFault) as caught:
        show(source, html=html)

    assert caught.value.detail


@pytest.mark.parametrize("source", RUNNING, ids=range(len(RUNNING)))
def test_nothing_runs_without_end(source: str) -> None:
    before = time.thread_time()

    with pytest.raises(TemplateFault) as caught:
        show(source)

    assert caught.value.code in ("template_error", "template_syntax")
    assert time.thread_time() - before < 5  # far from the hours it would otherwise take


class TestHonestTemplates:
    def test_a_mappings_entry_comes_before_its_method(self) -> None:
        assert show("{{ user.items|length }}") == "2"

    def test_a_mapping_can_be_gone_through(self) -> None:
        source = "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% else %}-{% endfor %}"

        assert show(source) == "a=1;b=2;"

    def test_loops_know_where_they_are(self) -> None:
        source = "{% for x in [5, 6, 7] if x > 5 %}{{ loop.index }}/{{ loop.length }} {% endfor %}"

        assert show(source) == "1/2 2/2 "

    def test_a_namespace_counts(self) -> None:
        source = (
            "{% set ns = namespace(total=0) %}{% for x in [1, 2, 3] %}"
            "{% set ns.total = ns.total + x %}{% endfor %}{{ ns.total }}"
        )

        assert show(source) == "6"

    def test_small_lists_and_everyday_filters_work(self) -> None:
        source = (
            "{{ ['a', 'b']|join(', ') }} {{ 'abc'|replace('b', 'x') }} {{ 2.345|round(1) }}"
            " {{ [3, 1]|sort|first }} {{ 'a b'.split()|last }} {{ [1, 2]|sum }} {{ (1, 2)|list }}"
            " {{ nest|map('first')|sum }} {{ 7 % 3 }} {{ 'a' ~ 1 }}"
        )

        assert show(source) == "a, b axc 2.3 1 b 3 [1, 2] 1999000 1 a1"

    def test_steps_are_counted_anew_for_each_render(self) -> None:
        source = "{% for x in range(9000) %}{% endfor %}done"

        assert [show(source) for _ in range(3)] == ["done"] * 3
