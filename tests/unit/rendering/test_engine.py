"""Single texts: rendering, filters, validation and errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from notifications.domain.errors import TemplateFault
from notifications.infra import clock
from notifications.rendering import CachedTemplateEngine, NotificationTemplateEngine

NOW = datetime(2026, 3, 8, 12, 0, tzinfo=UTC)


def show(source: str, context: dict[str, Any] | None = None, **options: Any) -> str:
    return NotificationTemplateEngine().render_template(source, context or {}, **options)


def fault(source: str, context: dict[str, Any] | None = None) -> TemplateFault:
    with pytest.raises(TemplateFault) as caught:
        show(source, context)
    return caught.value


class TestTemplateEngine:
    """The three documented tests, under their documented names."""

    def setup_method(self) -> None:
        self.template_engine = NotificationTemplateEngine()

    def test_basic_template_rendering(self) -> None:
        content = (
            "Hello {{ user.first_name }}, your payment of {{ amount|currency }} was processed."
        )
        context = {"user": {"first_name": "John"}, "amount": 29.99}

        result = self.template_engine.render_template(content, context)

        assert result == "Hello John, your payment of $29.99 was processed."

    def test_custom_filters(self) -> None:
        result = self.template_engine.render_template(
            "Price: {{ amount|currency('EUR') }}", {"amount": 50.0}
        )

        assert result == "Price: €50.00"

    def test_template_validation(self) -> None:
        validation = self.template_engine.validate_template(
            "Hello {{ user.name }}, you have {{ count }} messages.", ["user.name", "count"]
        )

        assert validation["valid"] is True
        assert len(validation["missing_variables"]) == 0


class TestFilters:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (29.99, "$29.99"),
            ("29.99", "$29.99"),
            (Decimal("1234567.5"), "$1,234,567.50"),
            (0, "$0.00"),
            (-5, "-$5.00"),
            (" 7 ", "$7.00"),
        ],
    )
    def test_currency_accepts_numbers_decimals_and_numeric_texts(
        self, value: object, shown: str
    ) -> None:
        assert show("{{ a|currency }}", {"a": value}) == shown

    @pytest.mark.parametrize(
        ("value", "kind"), [("ten", "str"), ([1], "list"), (True, "bool"), (None, "NoneType")]
    )
    def test_currency_names_the_type_of_a_wrong_value_but_never_the_value(
        self, value: object, kind: str
    ) -> None:
        found = fault("{{ a|currency }}", {"a": value})

        assert found.code == "template_error"
        assert kind in found.detail
        assert "ten" not in found.detail.replace("currency needs a number", "")

    def test_an_unknown_currency_is_reported(self) -> None:
        assert "ISO 4217" in fault("{{ 1|currency('EURO') }}").detail

    def test_numbers_are_written_as_the_locale_writes_them(self) -> None:
        source = (
            "{{ 1234.5|number }} {{ 1234.5|number(2) }} {{ 0.153|percent(1) }} {{ 9|currency }}"
        )

        assert show(source) == "1,234.5 1,234.50 15.3% $9.00"
        assert show(source, locale="de_DE") == "1.234,5 1.234,50 15,3\xa0% 9,00\xa0$"

    def test_times_are_shown_in_the_readers_zone_and_locale(self) -> None:
        source = "{{ t|date('long') }} {{ t|time }} {{ t|date('d.MM.y') }}"

        shown = show(source, {"t": NOW}, locale="ru", timezone="Asia/Vladivostok")

        assert shown == "8 марта 2026\u202fг. 22:00 8.03.2026"  # noqa: RUF001

    def test_times_may_be_iso_texts_and_a_plain_date_never_moves(self) -> None:
        context = {"t": "2026-03-08T23:30:00", "d": "2026-03-08"}

        shown = show("{{ t|date('short') }} {{ d|date('short') }}", context, timezone="Asia/Tokyo")

        assert shown == "3/9/26 3/8/26"

    @pytest.mark.parametrize(
        ("passed", "shown"),
        [
            (timedelta(days=3, hours=5), "3 days ago"),
            (timedelta(days=1), "1 day ago"),
            (timedelta(days=45), "45 days ago"),
            (timedelta(hours=2, minutes=50), "2 hours ago"),
            (timedelta(minutes=5), "5 minutes ago"),
            (timedelta(seconds=20), "20 seconds ago"),
            (-timedelta(hours=3), "in 3 hours"),
        ],
    )
    def test_time_ago_counts_whole_units(self, passed: timedelta, shown: str) -> None:
        with clock.reading(lambda: NOW):
            assert show("{{ t|time_ago }}", {"t": NOW - passed}) == shown

    def test_time_ago_goes_by_the_current_time_of_the_context(self) -> None:
        context = {"t": NOW, "current_time": NOW + timedelta(days=2)}

        assert show("{{ t|time_ago }}", context, locale="ru") == "2 дня назад"

    def test_truncate_words(self) -> None:
        context = {"text": "one two three four"}

        assert show("{{ text|truncate_words(2) }}", context) == "one two..."
        assert show("{{ text|truncate_words }}", context) == "one two three four"

    def test_the_context_cannot_replace_the_formats(self) -> None:
        assert show("{{ 1|currency }}", {"_formats": None, "_meter": None}) == "$1.00"


class TestErrors:
    def test_a_missing_variable_is_named_with_its_line(self) -> None:
        found = fault("Hello\n{{ user.nickname }}", {"user": {"first_name": "Ann"}})

        assert found.code == "missing_variable"
        assert found.data == {"variable": "user.nickname", "line": 2}
        assert found.detail == "template, line 2: the variable user.nickname is missing"

    def test_a_missing_variable_before_a_filter_is_named_too(self) -> None:
        assert fault("{{ due|date }}").data["variable"] == "due"
        assert fault("{% for x in rows %}{% endfor %}").data["variable"] == "rows"

    def test_a_default_replaces_a_missing_variable(self) -> None:
        assert show("{{ a|default('-') }}{% if b is defined %}b{% endif %}") == "-"

    def test_a_syntax_error_is_reported_with_its_line(self) -> None:
        found = fault("a\nb {{ c")

        assert found.code == "template_syntax"
        assert found.data["line"] == 2

    def test_an_unknown_filter_is_a_syntax_error(self) -> None:
        found = fault("{{ a|nonsense }}")

        assert found.detail == "template, line 1, column 6: there is no filter 'nonsense'"

    def test_an_error_never_contains_values_of_the_context(self) -> None:
        found = fault("{{ a|int(base=1) }}{{ a.index('x') }}", {"a": "secret"})

        assert "secret" not in found.detail

    def test_html_escapes_values_and_text_does_not(self) -> None:
        context = {"a": "<b>&'\""}

        assert show("{{ a }}", context) == "<b>&'\""
        assert show("<i>{{ a }}</i>", context, html=True) == "<i>&lt;b&gt;&amp;&#39;&#34;</i>"
        assert show("{{ a ~ '<' }}", context, html=True) == "&lt;b&gt;&amp;&#39;&#34;&lt;"
        assert show("{{ [a]|join('<') }}", context, html=True) == "&lt;b&gt;&amp;&#39;&#34;"


class TestValidation:
    def test_missing_and_extra_variables_are_reported(self) -> None:
        found = NotificationTemplateEngine().validate_template(
            "{{ user.name }} {{ total }}", ["user.name", "count"]
        )

        assert found == {
            "valid": False,
            "missing_variables": ["count"],
            "extra_variables": ["total"],
            "all_variables": ["total", "user"],
            "error": None,
        }

    def test_a_syntax_error_is_reported(self) -> None:
        found = NotificationTemplateEngine().validate_template("{% if x %}", ["x"])

        assert found["valid"] is False
        assert "line 1" in found["error"]

    def test_built_in_names_are_not_variables(self) -> None:
        found = NotificationTemplateEngine().validate_template(
            "{% for x in range(3) %}{{ loop.index }}{{ x }}{% endfor %}", []
        )

        assert found["all_variables"] == []


class TestCachedTemplateEngine:
    async def test_a_repeated_render_returns_the_cached_text(self) -> None:
        engine = CachedTemplateEngine(maxsize=2)

        first = await engine.render_template_cached("t", "Hello {{ a }}", {"a": 1})
        second = await engine.render_template_cached("t", "Hello {{ a }}", {"a": 1})

        assert first == second == "Hello 1"
        assert first is second

    async def test_a_changed_text_or_context_is_rendered_again(self) -> None:
        engine = CachedTemplateEngine(maxsize=2)
        await engine.render_template_cached("t", "Hello {{ a }}", {"a": 1})

        assert await engine.render_template_cached("t", "Hello {{ a }}", {"a": 2}) == "Hello 2"
        assert await engine.render_template_cached("t", "Bye {{ a }}", {"a": 1}) == "Bye 1"

    async def test_a_text_that_reads_the_clock_is_never_stale(self) -> None:
        engine = CachedTemplateEngine()
        context = {"t": NOW}

        with clock.reading(lambda: NOW + timedelta(days=1)):
            early = await engine.render_template_cached("t", "{{ t|time_ago }}", context)
        with clock.reading(lambda: NOW + timedelta(days=2)):
            late = await engine.render_template_cached("t", "{{ t|time_ago }}", context)

        assert (early, late) == ("1 day ago", "2 days ago")
