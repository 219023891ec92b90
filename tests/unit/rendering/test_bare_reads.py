"""Entries without which a text fails: checked entries are recognized, others are reported."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from jinja2 import Environment, nodes

from notifications.domain.errors import TemplateFault
from notifications.rendering.engine import CompiledText, NotificationTemplateEngine
from notifications.rendering.language.reads import bare_reads

NAME = frozenset({"user.first_name"})


def render(source: str, **context: Any) -> str:
    return NotificationTemplateEngine().render_template(source, context)


@pytest.mark.parametrize(
    "source",
    [
        "{{ user.first_name }}",
        "{{ user['first_name'] }}",
        "{{ user.first_name|upper|default('you') }}",
        "{{ user.first_name or 'you' }}",
        "{{ greeting|default('Hi') }} {{ user.first_name }}",
        "{{ user.email|default(user.first_name) }}",
        "{% if user.first_name %}x{% endif %}",
        "{% if paid is defined %}x{% else %}{{ user.first_name }}{% endif %}",
        "{% set name = user.first_name %}{{ name }}",
        "{% for line in [user.first_name] %}{{ line }}{% endfor %}",
        "{% macro hello(name) %}{{ name }}{% endmacro %}{{ hello(user.first_name) }}",
        "{{ user.first_name is odd }}",
    ],
)
def test_a_bare_entry_is_reported_and_fails_without_a_user(source: str) -> None:
    assert CompiledText(source).of_user == NAME
    with pytest.raises(TemplateFault):
        render(source, user={})


@pytest.mark.parametrize(
    "source",
    [
        "{{ user.first_name|default('you') }}",
        "{{ user['first_name']|d('you')|upper }}",
        "{{ user.first_name|default(user.last_name|default('you')) }}",
        "{{ user.first_name if user.first_name is defined else 'you' }}",
        "{% if user.first_name is defined %}{{ user.first_name }}{% endif %}",
        "{% if user.first_name is defined and user.first_name %}{{ user.first_name }}{% endif %}",
        "{% if user.first_name|default('') %}{{ user.first_name }}{% endif %}",
        "{% if user.first_name is undefined %}you{% else %}{{ user.first_name }}{% endif %}",
        "{% if user %}{{ user.first_name }}{% endif %}",
        "{% if paid %}x{% elif user %}{{ user.first_name }}{% endif %}",
        "{{ user.first_name is defined and user.first_name }}",
        "{{ user|tojson }}{{ user|length }}",
        "{{ app_name }}",
    ],
)
def test_a_checked_entry_is_not_reported_and_does_not_fail(source: str) -> None:
    assert CompiledText(source).of_user == frozenset()
    render(source, user={}, app_name="Carillon", paid=False)


@pytest.mark.parametrize("joint", [" and ", " or "])
def test_the_work_grows_with_the_text_and_not_with_its_square(joint: str) -> None:
    """Conditions are nested: a check of each from scratch would visit the innermost every time."""

    def steps(count: int) -> int:
        tree = Environment().parse(f"{{{{ {joint.join(['paid'] * count)} }}}}")
        with patch.object(nodes.Node, "iter_child_nodes", autospec=True,
                          side_effect=nodes.Node.iter_child_nodes) as visits:  # fmt: skip
            bare_reads(tree, "user")
        return visits.call_count

    assert steps(140) < 3 * steps(70)


def test_a_default_of_another_variable_is_not_reported() -> None:
    source = "{{ nickname|default(user.first_name) }}"

    assert CompiledText(source).of_user == frozenset()
    assert render(source, user={}, nickname="Ann") == "Ann"
