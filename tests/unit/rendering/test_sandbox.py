"""Hostile templates: each is stopped with a clear error."""

from __future__ import annotations

import contextlib
import tracemalloc
from datetime import UTC, datetime

import pytest

from notifications.domain.errors import TemplateFault
from notifications.rendering import NotificationTemplateEngine
from tests.pace import within

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
    "{{ user.__init__ }}",
    "{{ (1).__class__ }}",
    "{{ joiner }}",
    "{{ dict(a=1) }}",
    "{{ request }}",
    "{{ config }}",
    "{{ environment }}",
    "{{ context }}",
    "{{ caller }}",
    "{{ self }}",
    "{{ super() }}",
    "{{ namespace }}",
    "{{ range }}",
    "{{ user.get }}",
    "{{ user.get ~ '' }}",
    "{{ [user.get] }}",
    "{{ [user.get]|join }}",
    "{{ user.get|string }}",
    "{{ {'a': user.get}|tojson }}",
    "{{ 'x'.upper }}",
    "{{ nest|map('first') }}",
    "{{ _formats }}",
    "{{ _formats.locale }}",
    "{{ _meter.steps }}",
    "{% set _meter = 1 %}",
    "{% for _meter in [1] %}{% endfor %}",
    "{% for x in [1] %}{{ loop.__init__ }}{% endfor %}",
    "{% for x in [1] %}{{ loop._iterable }}{% endfor %}",
    "{% for x in [1] %}{{ loop.__call__ }}{% endfor %}",
    "{% macro m() %}{{ varargs.__class__ }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{% endmacro %}{{ m }}",
    "{% macro m() %}{% endmacro %}{{ m._func }}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "{{ [user]|map(attribute='__class__')|list }}",
    "{{ [at]|map(attribute='__class__')|list }}",
    "{{ [at]|map('attr', '__class__')|list }}",
    "{{ [at]|sum(attribute='__class__') }}",
    "{{ [at]|selectattr('__class__')|list }}",
    "{{ [at, at]|sort(attribute='__class__') }}",
    "{{ [at]|unique(attribute='__class__')|list }}",
    "{{ [at]|join(attribute='__class__') }}",
    "{{ at.tzinfo }}",
    "{{ '{}'.format_map(user) }}",
    "{{ '%s'|format(user) }}",
    "{{ '%c' % 99999999 }}",
    "{{ ''.__mod__(1) }}",
    "{{ at.strftime('%999999999d') }}",
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
    "{{ range(0, 10**19) }}",
    "{{ at|date('y' * 90000) }}",
    "{{ 1|number(999999999) }}",
    "{{ 1|percent(999999999) }}",
    "{{ 1|currency('X' * 99999) }}",
    "{{ 'x'|truncate(5, end='x' * 99999) }}",
    "{{ 2.0 ** 99999 }}",
    "{{ 2 ** 1000 ** 2 }}",
    "{{ [[1] * 9] * 9 }}",
    "{{ big ~ big ~ big }}",
    "{% set y = big|list %}",
    "{% set y = big|map('upper')|list %}",
    "{% set y = ('<' * 90000)|e %}{{ y ~ y }}{{ y|forceescape }}",
    "".join(f"{{% set y{n} = big.split() %}}" for n in range(500)),
    "{{ '%999999999d' is odd }}",
    "{{ ['%999999999d']|select('even')|list }}",
    "{{ '%999999999d' is divisibleby(2) }}",
    "{% set x = [1] %}" + "{% set x = {'a': x, 'b': x}.values() %}" * DOUBLED + "{{ x }}",
    "{% set x = [1] %}" + "{% set x = {'a': x, 'b': x}.items() %}" * DOUBLED + "{{ x|string }}",
    "".join(f"{{% set y{n} = '\U0001f600' * 99999 %}}" for n in range(500)),
    "".join(f"{{% set y{n} = nest|safe %}}" for n in range(500)),
    "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}{{ m(m(m(m(m(m(m(m(big)))))))) }}",
    "{% macro a(n) %}{{ a(n) }}{{ a(n) }}{% endmacro %}{{ a(1) }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
]
RUNNING = [
    "{% for a in nest %}{% for b in nest %}{% for c in nest %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in range(200) %}{% for b in range(200) %}x{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}" + "{% set y = 1 + 1 %}" * 500 + "{% endfor %}",
    "{% for a in range(9999) %}{% set y = big|upper %}{% endfor %}",
    "{% set y = big|title %}" * 500,
    "{% set y = big.split() %}" * 500,
    "{% for x in range(9999) %}" + "{{ at|date }}" * 2000 + "{% endfor %}",
    "{% for x in range(9999) %}" + "{% set y = big in big %}" * 1500 + "{% endfor %}",
    "{% for x in range(9999) %}" + "{% set y = big == big[::-1] %}" * 1000 + "{% endfor %}",
    "{% set y = big in big %}" * 3000,
    "{% set y = big|wordcount %}" * 500,
    "{% set y = big|urlencode %}" * 500,
    "{% set y = big|striptags %}" * 500,
    "{% set y = big|truncate_words %}" * 500,
    "{% set y = big|escape %}" * 500,
    "{% set y = nest|tojson %}" * 500,
    "{% set x = '\U0001f600' * 99999 %}{{ ('y' * 99999)|trim(x) }}",
    "{% set x = '\U0001f600' * 99999 %}{{ ('y' * 99999).strip(x) }}",
    "{% set x = 'yz' ~ 'y' * 50000 %}{{ ('y' * 99999).rpartition(x)|length }}",
    "{% set y = nest|map('first')|sort|reverse|list %}" * 500,
    "{% set y = range(9999)|map('string')|list %}" * 500,
    "{% macro m() %}{% for x in range(99) %}x{% endfor %}{% endmacro %}"
    "{% for x in range(9999) %}{{ m() }}{% endfor %}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "-" * 30_000 + "1 }}",
    "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "x" * 200_000,
]


@pytest.mark.parametrize("source", REACHING_OUT)
def test_only_data_can_be_reached(source: str) -> None:
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
def test_no_value_grows_without_bound(source: str, html: bool) -> None:
    with pytest.raises(TemplateFault) as caught:
        show(source, html=html)

    assert caught.value.detail


@pytest.mark.parametrize("source", RUNNING, ids=range(len(RUNNING)))
def test_no_template_runs_without_bound(source: str) -> None:
    with pytest.raises(TemplateFault) as caught:
        show(source)

    assert caught.value.code in ("template_error", "template_syntax")


@pytest.mark.parametrize("source", [*GROWING, *RUNNING], ids=range(len(GROWING) + len(RUNNING)))
def test_each_hostile_template_is_stopped_within_its_budget(source: str) -> None:
    with contextlib.suppress(TemplateFault):
        show(source)  # compiles: this happens once, at publication; messages only render

    with within(0.25, cpu=True), pytest.raises(TemplateFault):
        show(source)  # the meter's own limit is 0.15


def test_hostile_templates_leave_no_memory_behind() -> None:
    """No memory remains after one round, and each render uses about the size of the context."""
    sources = [*REACHING_OUT, *GROWING, *RUNNING]

    def one_round() -> int:
        highest = 0
        for source in sources:
            before, _peak = tracemalloc.get_traced_memory()
            with pytest.raises(TemplateFault):
                show(source)
            highest = max(highest, tracemalloc.get_traced_memory()[1] - before)
        return highest

    one_round()  # compiles
    tracemalloc.start()
    try:
        highest = one_round()
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert highest < 64_000_000
    assert grown < 1_000_000
    assert show("{{ user.first_name }}") == "Ann"


class TestContexts:
    def test_a_caller_cannot_replace_built_in_names(self) -> None:
        engine = NotificationTemplateEngine()
        evil = {"_meter": None, "_formats": None, "range": None, "namespace": 1, "self": 1}

        source = "{% for x in range(2) %}{{ x|number }}{% endfor %}"

        assert engine.render_template(source, evil) == "01"

    def test_an_object_in_the_context_exposes_nothing(self) -> None:
        engine = NotificationTemplateEngine()

        class Account:
            secret = "s3cret"

            def get(self) -> str:
                return self.secret

        for source in ("{{ x.secret }}", "{{ x.get() }}", "{{ x['secret'] }}", "{{ x.get }}"):
            with pytest.raises(TemplateFault) as caught:
                engine.render_template(source, {"x": Account()})
            assert "s3cret" not in caught.value.detail


class TestHonestTemplates:
    @pytest.mark.parametrize(
        ("source", "shown"),
        [
            ("{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby(3) }}", "True False True"),
            ("{{ {'a': 1}.keys() }} {{ 'a' in {'a': 1}.keys() }}", "['a'] True"),
            ("{{ ' xyx '|trim }} {{ 'xyx'|trim('x') }}", "xyx y"),
            ("{{ 'a.b.c'.rpartition('.')[2] }} {{ '(a)'.strip('()') }}", "c a"),
            ("{{ '-' * 10 }}{{ '<b>'|safe }}", "----------<b>"),
        ],
    )
    @pytest.mark.parametrize("html", [False, True])
    def test_metered_operations_work(self, source: str, shown: str, html: bool) -> None:
        assert show(source, html=html).replace("&#39;", "'") == shown

    def test_a_mappings_entry_takes_precedence_over_its_method(self) -> None:
        assert show("{{ user.items|length }}") == "2"

    def test_a_mapping_can_be_iterated(self) -> None:
        source = "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% else %}-{% endfor %}"

        assert show(source) == "a=1;b=2;"

    def test_loops_have_an_index_and_a_length(self) -> None:
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

    def test_each_render_has_its_own_count_of_steps(self) -> None:
        source = "{% for x in range(9000) %}{% endfor %}done"

        assert [show(source) for _ in range(3)] == ["done"] * 3


@pytest.mark.parametrize("name", ["_loop", "_comparable", "_literal"])
def test_authors_cannot_use_internal_filters(name: str) -> None:
    with pytest.raises(TemplateFault) as caught:
        show(f"{{{{ [[1]]|map('{name}')|list }}}}")

    assert "no filter" in caught.value.detail
