"""A hostile template among harmless ones: only it fails, and the worker continues."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from notifications.models import DeadLetter, SandboxMessage
from tests.integration.factories import make_template, make_user
from tests.integration.preferences.conftest import message, send, work

pytestmark = pytest.mark.django_db
# Harmless in the trial render at acceptance, hostile when the worker renders.
LATER = "{% if current_time.year > 2030 %}BODY{% endif %}"
ATTACKS = [
    "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    "{{ 'x' * 100000000 }}",
    "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x ~ x %}" * 40,
    "{{ user.__class__.__mro__ }}",
    "{% macro a() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}",
    "{{ user.email.upper }}",
]


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_a_hostile_message_fails_and_its_neighbours_are_sent(frozen: Any, attack: str) -> None:
    make_template()
    make_template("test.evil", email_body_template=LATER.replace("BODY", attack))
    reader = make_user()
    before = send(reader)
    evil = send(reader, template_path="test.evil")
    after = send(reader)
    frozen.now += timedelta(days=365)

    work()

    assert [message(each).status for each in (before, evil, after)] == ["sent", "failed", "sent"]
    letter = DeadLetter.objects.get()
    # On a busy machine a render may use up its time before its budget.
    assert letter.code in ("template_error", "template_limit")
    if letter.code == "template_error":
        assert "email_body_template (en), line 1: " in letter.last_error
    assert reader.email not in letter.last_error
    assert SandboxMessage.objects.count() == 2


def test_a_callers_context_cannot_replace_the_user() -> None:
    make_template(
        email_body_template="{{ user.first_name }}|{{ app_name }}|{{ current_time.year }}"
        "|{{ user.timezone }}|{{ amount }}"
    )
    reader = make_user(first_name="Grace", timezone="Europe/Paris")
    evil = {
        "user": {"first_name": "Mallory", "timezone": "UTC"},
        "app_name": "Evil",
        "current_time": 0,
        "_meter": None,
        "_formats": None,
        "amount": 5,
    }

    send(reader, context=evil)
    work()

    body = SandboxMessage.objects.get().content["body"]
    name, app, year, zone, amount = body.split("|")
    assert (name, zone, amount) == ("Grace", "Europe/Paris", "5")
    assert app != "Evil"
    assert int(year) > 2000
