"""The static analysis of a text: the places of errors, and the variables that it reads."""

from __future__ import annotations

import pytest

from notifications.domain.errors import TemplateFault
from notifications.rendering.engine import CompiledText
from notifications.rendering.language.reads import covers


class TestPlaces:
    @pytest.mark.parametrize(
        ("source", "line", "column"),
        [
            ("one\n{{ two", 2, 7),
            ("one\n  {{ two three }}", 2, 10),
            ("a\r\nb\r\n{{ a }} {{ b c }}", 3, 14),
            ("a\n{% if x %}\n b", 2, 4),
            ("a\n{% for x in y %}\n b\n", 2, 4),
            ("{% foo %}", 1, 4),
            ("a {%- if x -%} y {% endfo %}", 1, 21),
            ("x {{ a|nope }}", 1, 8),
            ("x {{ a is nope }}", 1, 11),
            ("ok {{ a ? b }}", 1, 9),
            ("x }} {{ (1 }}", 1, 12),
            ("  {# open", 1, 5),
            ("x\n {% set x %}a{% endset %}", 2, 2),
            ("{{ a b }}", 1, 6),
        ],
    )
    def test_a_syntax_error_has_its_line_and_column(
        self, source: str, line: int, column: int
    ) -> None:
        with pytest.raises(TemplateFault) as caught:
            CompiledText(source)

        assert caught.value.code == "template_syntax"
        assert caught.value.detail.startswith(f"template, line {line}, column {column}: ")
        assert (caught.value.data["line"], caught.value.data["column"]) == (line, column)


class TestReads:
    @pytest.mark.parametrize(
        ("source", "reads"),
        [
            ("{{ order.id }} {{ order['total'] }}", {"order.id", "order.total"}),
            ("{{ order.lines[0].price }}", {"order.lines"}),
            ("{{ order|tojson }}", {"order"}),
            ("{% for key, value in order.items() %}{{ key }}{% endfor %}", {"order"}),
            ("{% for line in order.lines %}{{ line.price }}{% endfor %}", {"order.lines"}),
            ("{{ order[key] }}", {"order", "key"}),
            ("{{ text.split(order.mark)|first }}", {"text", "order.mark"}),
            ("{% if order.paid is defined %}{% endif %}", {"order.paid"}),
            ("{% macro m(order) %}{{ order.id }}{% endmacro %}{{ m(cart) }}", {"cart"}),
            ("{% set x = order.id %}{{ x }}", {"order.id"}),
        ],
    )
    def test_reads_are_known_as_far_as_they_are_written_out(
        self, source: str, reads: set[str]
    ) -> None:
        assert CompiledText(source).reads == reads

    @pytest.mark.parametrize(
        ("name", "read", "covered"),
        [
            ("order", "order.id", True),
            ("order.id", "order", True),
            ("order.id", "order.id", True),
            ("order.id", "order.id.x", True),
            ("order.id", "order.idx", False),
            ("order.id", "order.total", False),
        ],
    )
    def test_a_declared_name_covers_what_it_holds(
        self, name: str, read: str, covered: bool
    ) -> None:
        assert covers(name, read) is covered
