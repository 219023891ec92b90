"""NUL and unpaired surrogates: templates that contain them are refused.

A render that produces them makes a dead letter of that message only, on every channel.
"""

from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.channels import Channel
from notifications.domain.errors import TemplateFault
from notifications.infra.crypto import seal_json
from notifications.models import (
    CONTENT_FIELDS,
    DeadLetter,
    Notification,
    NotificationMessage,
    NotificationTemplate,
    SandboxMessage,
)
from notifications.rendering.engine import CompiledText, NotificationTemplateEngine, storable
from tests.integration.api.conftest import api, send_body, with_key
from tests.integration.factories import make_template, make_user, make_willing_user
from tests.integration.preferences.conftest import send, stopped, work

__all__ = ["api", "stopped", "with_key"]
pytestmark = [pytest.mark.django_db, pytest.mark.strict]
TEMPLATES = "/api/v1/templates"
PARTY = "\U0001f389"
PAIR = '{{ "\\ud83c\\udf89" }}'  # the escape of JSON and JavaScript, in a Jinja literal
CHANNELS = [str(channel) for channel in Channel]
FIELD_OF = {"in_app": "in_app_template", "websocket": "websocket_template"}
HALVES = [
    '{{ "\\ud83c" }}',
    '{{ "\\udf89\\ud83c" }}',
    '{{ "\\x00" }}',
    '{{ "\\u0000" }}',
    '{{ "\\0" }}',
    '{{ x ~ "\\ud83c" ~ "\\udf89" }}',
    '{% set half = "\\ud83c" %}Hello',
    '{% if x == "\\x00" %}a{% endif %}',
    '{{ {"\\ud83c": 1} }}',
    '{{ x|default("\\udf89") }}',
    '{% macro party(y="\\ud83c") %}{{ y }}{% endmacro %}{{ party() }}',
]


@pytest.fixture
def author(with_key):
    return with_key("templates:read", "templates:write", "notifications:send")


def write(client: Any, **body: Any) -> Any:
    values = {"name": "Hello", "path": "test.hello", "push_template": "Hi"}
    return client.post(TEMPLATES, {**values, **body})


def everywhere(source: str) -> dict[str, Any]:
    return {
        "supported_channels": CHANNELS,
        **dict.fromkeys(CONTENT_FIELDS, source),
    }


class TestAPairInALiteral:
    @pytest.mark.parametrize(
        "source", [PAIR, '{{ "\\ud83c" "\\udf89" }}', "{{ '\\uD83C\\uDF89' }}"]
    )
    def test_is_joined_and_arrives_on_every_channel(self, author, source, stopped):
        made = write(author, **everywhere(f"Hello {source}"), status="published")
        assert made.status_code == 201, made.data
        person = make_willing_user(phone_number="+14155552671", telegram_id="7")
        for channel in ("in_app", "email", "sms", "telegram", "websocket"):
            response = author.post(
                "/api/v1/notifications/send",
                send_body(person, channel=channel, context={}),
            )
            assert response.status_code == 201, response.data
        work()
        assert not DeadLetter.objects.exists()
        bodies = [row.content["body"] for row in SandboxMessage.objects.all()]
        assert len(bodies) >= 3
        assert set(bodies) == {f"Hello {PARTY}"}
        preview = author.post(f"{TEMPLATES}/{made.data['id']}/preview", {"context": {}})
        assert {item["body"] for item in preview.data["previews"]} == {f"Hello {PARTY}"}

    def test_is_joined_in_layouts_and_parts_too(self, author):
        layout = f"{PAIR}{{% block b %}}{{% endblock %}}"
        write(author, name="L", path="layouts.l", push_template=layout, status="published")
        made = write(
            author,
            push_template=f"{{% extends 'layouts.l' %}}{{% block b %}}{PAIR}{{% endblock %}}",
            status="published",
        )
        assert made.status_code == 201, made.data
        shown = author.post(f"{TEMPLATES}/{made.data['id']}/preview", {"context": {}})
        assert shown.data["previews"][0]["body"] == PARTY * 2


class TestWhatCannotBeStoredIsNotSaved:
    @pytest.mark.parametrize("source", HALVES)
    def test_a_half_in_a_literal_is_a_400(self, author, source):
        for status in ("draft", "published"):
            response = write(author, push_template=source, status=status)
            assert response.status_code == 400, response.data
            assert response.data["errors"][0]["path"] == "push_template"
            assert "half a character" in response.data["detail"]
        assert not NotificationTemplate.objects.filter(path="test.hello").exists()
        check = author.post(f"{TEMPLATES}/validate", {"push_template": source})
        assert (check.status_code, check.data["valid"]) == (200, False)

    @pytest.mark.parametrize("raw", ["\\u0000", "\\uD83Cx"])
    @pytest.mark.parametrize(
        "place",
        [
            '"name": "a{}"',
            *(f'"{name}": "a{{}}"' for name in CONTENT_FIELDS),
            '"translations": {{"ru": {{"push_template": "a{}"}}}}',
            '"translations": {{"ru{}": {{}}}}',
            '"example_context": {{"a": ["{}"]}}',
            '"example_context": {{"{}": 1}}',
            '"required_variables": ["a{}"]',
        ],
    )
    def test_a_half_in_any_field_is_a_400(self, author, place, raw):
        first = {"name": "Hello", "path": "test.hello", "push_template": "Hi"}
        made = author.post(TEMPLATES, first).data["id"]
        body = "{" + place.format(raw) + "}"
        for method, url in (
            ("put", f"{TEMPLATES}/{made}"),
            ("post", TEMPLATES),
            ("post", f"{TEMPLATES}/validate"),
        ):
            response = author.generic(method.upper(), url, body, content_type="application/json")
            assert response.status_code == 400, response.content
            assert b"half a character" in response.content
        row = NotificationTemplate.objects.get(pk=made)
        assert (row.name, row.push_template, row.translations) == ("Hello", "Hi", {})

    def test_a_draft_of_before_cannot_be_published(self, author):
        row = make_template("test.old", in_app_template=HALVES[0])
        response = author.post(f"{TEMPLATES}/{row.pk}/publish", {})
        assert response.status_code == 400
        assert "half a character" in response.data["detail"]

    def test_a_pair_in_the_body_is_the_character(self, author):
        body = '{"name": "N", "path": "a.b", "push_template": "\\ud83c\\udf89"}'
        response = author.generic("POST", TEMPLATES, body, content_type="application/json")
        assert (response.status_code, response.data["push_template"]) == (201, PARTY)


TRICKS = [
    ("{{ x }}", {"x": "\x00"}),
    ("{{ x|upper }}", {"x": "a\x00"}),
    ("{{ x[0] }}", {"x": ["\x00"]}),
    ("{% for y in x %}{{ y }}{% endfor %}", {"x": ["a", "\x00"]}),
    ("{{ '%c' % 55356 }}", {}),
    ("{{ '%c' % 0 }}", {}),
    ("{{ '%c' % x }}", {"x": 56_320}),
    ("{{ ('%c' % 55356) ~ 'x' ~ ('%c' % 57225) }}", {}),
]


@pytest.mark.parametrize(("source", "context"), TRICKS)
@pytest.mark.parametrize("html", [False, True])
def test_a_render_that_cannot_be_stored_is_a_fault(source, context, html):
    with pytest.raises(TemplateFault) as caught:
        NotificationTemplateEngine().render_template(source, context, html=html)
    assert caught.value.code in ("invalid_rendered_text", "template_error")
    assert "\x00" not in caught.value.detail


def test_halves_that_meet_in_a_render_are_joined():
    assert storable("\ud83c\udf89!", name="t") == f"{PARTY}!"
    assert CompiledText("Hello").render({"_formats": None, "_meter": None}) == "Hello"


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("channel", ["in_app", "email", "sms", "push", "telegram", "websocket"])
def test_an_unstorable_text_is_a_dead_letter_and_the_other_messages_are_sent(channel):
    make_template(
        supported_channels=CHANNELS,
        required_variables=[],
        **dict.fromkeys(CONTENT_FIELDS, "Hello\n\n{{ amount }}"),
    ).publish()
    people = [
        make_willing_user(phone_number=f"+1415555267{n}", telegram_id=str(7 + n)) for n in range(3)
    ]
    from directory.models import Device

    for person in people:
        Device.objects.create(user=person, kind="fcm", token=f"t{person.pk}")
    responses = [send(person, channel=channel) for person in people]
    odd = Notification.objects.get(uuid=responses[1].id)
    Notification.objects.filter(pk=odd.pk).update(context=seal_json({"amount": "a\x00b"}))

    work()

    message = NotificationMessage.objects.get(notification=odd)
    assert (message.status, DeadLetter.objects.get().code) == ("failed", "invalid_rendered_text")
    assert "a\x00b" not in message.last_error
    others = NotificationMessage.objects.exclude(pk=message.pk)
    assert {each.status for each in others} <= {"sent", "delivered"}


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(
    "text",
    [
        {"title": "\x00", "message": "M"},
        {"title": "T", "message": "a\x00"},
        {"title": "T", "message": "M", "data": {"a": [{"\x00": 1}]}},
    ],
)
def test_an_unstorable_free_text_is_a_dead_letter_too(text):
    from tests.integration.factories import make_messages

    bad, good = make_messages(2, channel="in_app", user=make_user())
    Notification.objects.filter(pk=bad.notification_id).update(text=seal_json(text))
    work()
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.status, good.status) == ("failed", "delivered")
    assert DeadLetter.objects.get().code == "invalid_rendered_text"


def test_a_trial_render_reports_it_at_once(author, stopped):
    make_template(required_variables=[], in_app_template="{{ '%c' % amount }}")
    row = NotificationTemplate.objects.get(path="test.hello")
    row.publish()
    response = author.post(
        "/api/v1/notifications/send", send_body(make_user(), context={"amount": 0})
    )
    assert response.status_code == 400, response.data
    assert not Notification.objects.exists()
