"""The pages: what they show, their policy, their languages and the size of their scripts."""

from __future__ import annotations

import gzip
import html
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from directory.models import Device
from notifications.features.operations.health_results import UNHEALTHY, CheckResponse
from notifications.features.sending.queries import NotificationPage
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import (
    AuditQueued,
    ConsentRecord,
    DeadLetter,
    DeliveryAttempt,
    KillSwitch,
    NotificationMessage,
    ProviderFlow,
    SandboxMessage,
    WorkerProcess,
    change_status,
)
from tests.integration.console.conftest import As
from tests.integration.factories import make_messages, make_user

pytestmark = pytest.mark.django_db
PAGES = (
    "/console",
    "/console/notifications",
    "/console/people",
    "/console/people?find=ada",
    "/console/dead-letters",
    "/console/queues",
    "/console/providers",
    "/console/stops",
    "/console/styleguide",
    "/console/templates",
    "/console/templates/new",
    "/console/analytics",
    "/console/audit",
    "/console/webhooks",
    "/console/keys",
    "/console/staff",
    "/console/schedules",
    "/console/categories",
    "/console/categories/new",
    "/console/segments",
    "/console/segments/new",
    "/console/series/new",
    "/console/retention",
    "/console/retention/holds",
    "/console/retention/erasures",
)
MOST_SCRIPT = 40_000
CYRILLIC = re.compile(r"[\u0400-\u04ff]")


def dead_letter(message: NotificationMessage, **values: Any) -> DeadLetter:
    given = {"code": "timeout", "channel": message.channel, "provider": "smtp", **values}
    return DeadLetter.objects.create(
        message_id=message.pk,
        notification_id=message.notification_id,
        failed_at=clock.now(),
        category="payment",
        **given,
    )


def answered(message: NotificationMessage, response: dict[str, Any]) -> None:
    """Records an attempt with what the provider answered."""
    DeliveryAttempt.objects.create(
        message_id=message.pk,
        number=1,
        provider="twilio",
        verdict="retry",
        error="no response at port 25",
        response=response,
        at=clock.now(),
    )


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_a_strict_policy_and_is_not_stored(admin: Client, path: str) -> None:
    answer = admin.get(path)
    assert answer.status_code == 200
    policy = answer["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]{20,})'", policy)
    assert nonce is not None
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    text = answer.content.decode()
    scripts = re.findall(r"<script([^>]*)>", text)
    assert scripts
    assert all(f'nonce="{nonce[1]}"' in each and "src=" in each for each in scripts)
    assert not re.search(r"\son\w+=|\sstyle=|hx-on", text)
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Frame-Options"] == "DENY"
    assert nonce[1] not in admin.get(path)["Content-Security-Policy"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_at_most_40_kb_of_script(admin: Client, path: str) -> None:
    """gzip packs worse than brotli, so that the bound holds for both."""
    text = admin.get(path).content.decode()
    names = re.findall(r'<script[^>]*src="/static/([^"]+)"', text)
    total = 0
    for name in names:
        found = finders.find(name)
        assert isinstance(found, str)
        total += len(gzip.compress(Path(found).read_bytes(), 9))
    assert 0 < total <= MOST_SCRIPT


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_in_russian_for_browsers_in_russian(admin: Client, path: str) -> None:
    text = admin.get(path, headers={"Accept-Language": "ru"}).content.decode()
    assert '<html lang="ru">' in text
    heading = re.search(r"<h1>(.*?)</h1>", text, re.DOTALL)
    assert heading is not None
    assert CYRILLIC.search(heading[1])


def test_all_is_well_where_nothing_waits(as_role: As) -> None:
    text = as_role("author").get("/console").content.decode()
    assert "No worker is alive" in text
    assert "Throughput" not in text


def test_the_first_page_shows_what_needs_attention_first(operator: Client) -> None:
    (message,) = make_messages(1)
    dead_letter(message)
    KillSwitch.objects.create(
        scope="channel", value="sms", reason="vendor incident", actor="cli", created_at=clock.now()
    )
    ProviderFlow.objects.create(service="smtp", open_until=1 << 60)
    text = operator.get("/console").content.decode()
    places = [
        text.index(words)
        for words in (
            "Stopped: channel sms",
            "vendor incident",
            "1 circuit breaker is open",
            "1 dead letter waits",
        )
    ]
    assert places == sorted(places)
    assert 'href="/console/dead-letters"' in text


@pytest.mark.parametrize("role", ["analyst", "author"])
def test_every_role_sees_what_is_stopped_without_the_reason(as_role: As, role: str) -> None:
    KillSwitch.objects.create(
        scope="all", value="", reason="vendor incident", actor="cli", created_at=clock.now()
    )
    text = as_role(role).get("/console").content.decode()
    assert "Everything is stopped" in text
    assert "vendor incident" not in text
    assert 'href="/console/stops"' not in text


def test_a_failing_health_check_needs_attention(
    as_role: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = CheckResponse(status=UNHEALTHY, reason="a key is missing")
    monkeypatch.setattr("notifications.features.operations.health.keys_check", lambda: failing)
    for role, has_link in (("author", False), ("operator", True)):
        text = as_role(role).get("/console").content.decode()
        concern = text[text.rindex("<li", 0, text.index("Health checks fail")) :].split("</li>")[0]
        assert "keys" in concern
        assert "a key is missing" in concern
        assert ('href="/console/queues"' in concern) is has_link


def test_the_figures_are_one_event_and_say_when_to_ask_again(as_role: As) -> None:
    make_messages(3)
    for role, has_metrics in (("operator", True), ("author", False)):
        answer = as_role(role).get("/console/figures")
        assert answer["Content-Type"].startswith("text/event-stream")
        text = answer.content.decode()
        assert text.startswith("retry: 5000\nevent: figures\ndata: ")
        data = json.loads(text.split("data: ", 1)[1])
        assert data["lanes"]["default"]["queued"] == 3
        assert ("totals" in data) is has_metrics


def test_the_list_filters_by_links(operator: Client) -> None:
    mail, text = make_messages(2)
    NotificationMessage.objects.filter(pk=text.pk).update(channel="sms")
    page = operator.get("/console/notifications?channel=sms").content.decode()
    assert str(text.notification.uuid) in page
    assert str(mail.notification.uuid) not in page
    assert 'href="/console/notifications?status=failed&amp;channel=sms"' in page or (
        'href="/console/notifications?channel=sms&amp;status=failed"' in page
    )


def test_figures_of_a_day_lead_to_the_notifications_of_that_day(operator: Client) -> None:
    (message,) = make_messages(1)
    page = operator.get("/console").content.decode()
    link = re.search(r'href="(/console/notifications\?status=failed&amp;from=[^"]+)"', page)
    assert link is not None
    url = html.unescape(link[1])
    listed = operator.get(url.replace("status=failed", "status=")).content.decode()
    assert str(message.notification.uuid) in listed
    assert "Accepted since: " in listed


def test_the_filter_by_person_is_shown_and_can_be_removed(operator: Client) -> None:
    (message,) = make_messages(1)
    url = f"/console/notifications?channel=email&user={message.user_id}"
    text = operator.get(url).content.decode()
    assert 'href="/console/notifications?channel=email" aria-current="true">Person: ' in text


def test_a_search_that_goes_on_says_so(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    page = NotificationPage([], 5, clock.now())
    monkeypatch.setattr(NotificationService, "list", lambda *_args, **_given: page)
    text = operator.get("/console/notifications?status=failed").content.decode()
    assert "Nothing was found so far." in text
    assert "No notification matches." not in text


@pytest.mark.parametrize(
    "query", ["status=nonsense", "channel=%00", "category=x", "user=abc", "after=x"]
)
def test_a_filter_that_no_link_makes_is_left_out(operator: Client, query: str) -> None:
    make_messages(1)
    assert operator.get(f"/console/notifications?{query}").status_code == 200


def test_an_unknown_template_is_said(operator: Client) -> None:
    answer = operator.get("/console/notifications?template=no.such")
    assert answer.status_code == 400
    assert "there is no template no.such" in answer.content.decode()


def test_the_next_page_begins_after_the_last_row(operator: Client) -> None:
    made = make_messages(51)
    first = operator.get("/console/notifications").content.decode()
    assert str(made[0].notification.uuid) not in first
    link = re.search(r'rel="next" href="([^"]+)"', first)
    assert link is not None
    second = operator.get(link[1]).content.decode()
    assert str(made[0].notification.uuid) in second
    assert 'href="/console/notifications"' in second


def test_a_worker_whose_lease_is_over_is_marked(operator: Client) -> None:
    now = clock.now()
    row = WorkerProcess.objects.create(
        owner="w1", started_at=now, lease_until=now - timedelta(days=1)
    )
    text = operator.get("/console/queues").content.decode()
    assert "no sign of life since" in text
    assert "No worker is alive" in text
    row.lease_until = now + timedelta(days=1)
    row.save()
    text = operator.get("/console/queues").content.decode()
    assert "no sign of life since" not in text
    assert "No worker is alive" not in text


class TestNotification:
    def url(self, message: NotificationMessage) -> str:
        return f"/console/notifications/{message.notification.uuid}"

    def test_its_moments_are_in_order(self, operator: Client) -> None:
        (message,) = make_messages(1)
        DeliveryAttempt.objects.create(
            message_id=message.pk,
            number=1,
            provider="smtp",
            verdict="retry",
            error_code="timeout",
            error="no response within 10 s",
            response={"code": 451},
            duration_ms=123,
            at=clock.now(),
        )
        text = operator.get(self.url(message)).content.decode()
        assert text.index("Accepted") < text.index("Attempt 1 by smtp: not accepted")
        for words in ("the provider did not answer in time", "451", "123 ms", "Cancel what waits"):
            assert words in text

    def test_an_analyst_sees_neither_names_nor_answers(self, as_role: As) -> None:
        (message,) = make_messages(1)
        DeliveryAttempt.objects.create(
            message_id=message.pk,
            number=1,
            provider="smtp",
            verdict="failed",
            error="ada@example.com is unknown",
            at=clock.now(),
        )
        SandboxMessage.objects.create(
            message_id=message.pk,
            channel="email",
            content={"title": "A secret", "body": "words"},
            at=clock.now(),
        )
        text = as_role("analyst").get(self.url(message)).content.decode()
        for hidden in ("ada@example.com", "A secret", "Ada", "/console/people", "<form"):
            assert hidden not in text

    def test_what_was_written_is_in_a_frame_without_rights(
        self, as_role: As, override_environment: Callable[..., None]
    ) -> None:
        (message,) = make_messages(1)
        SandboxMessage.objects.create(
            message_id=message.pk,
            channel="email",
            content={"title": "Hello", "html": "<p>Hi</p><script>alert(1)</script>"},
            at=clock.now(),
        )
        admin = as_role("admin")
        text = admin.get(self.url(message)).content.decode()
        frame = f"{self.url(message)}/frame/{message.pk}"
        assert f'src="{frame}" sandbox' in text
        assert "alert(1)" not in text
        answer = admin.get(frame)
        policy = answer["Content-Security-Policy"]
        assert policy.startswith("sandbox; default-src 'none'")
        assert "script-src" not in policy
        override_environment(console_images=True)  # it is for previews alone
        assert admin.get(frame)["Content-Security-Policy"] == policy
        base = environment().public_url
        assert f"; img-src data: {base}/static/; " in policy  # no pixels
        other = make_messages(1)[0]
        assert admin.get(f"{self.url(other)}/frame/{message.pk}").status_code == 404
        for role in ("analyst", "operator"):
            assert as_role(role).get(frame).status_code == 403

    def test_texts_are_for_admins_and_the_audit_log_says_who_saw_them(self, as_role: As) -> None:
        (message,) = make_messages(1)
        SandboxMessage.objects.create(
            message_id=message.pk,
            channel="email",
            content={"title": "Your results", "html": "<b>negative</b>"},
            at=clock.now(),
        )
        shown = AuditQueued.objects.filter(action="text.shown")
        assert "Your results" not in as_role("operator").get(self.url(message)).content.decode()
        assert not shown.exists()
        admin = as_role("admin")
        assert "Your results" in admin.get(self.url(message)).content.decode()
        assert shown.count() == 1
        admin.get(f"{self.url(message)}/frame/{message.pk}")
        assert shown.count() == 2
        assert {row.target for row in shown} == {f"notification:{message.notification.uuid}"}

    def test_security_messages_are_for_admins(self, as_role: As) -> None:
        (message,) = make_messages(1, category="security")
        SandboxMessage.objects.create(
            message_id=message.pk,
            channel="email",
            content={"title": "Your code is 123456", "html": "<b>123456</b>"},
            at=clock.now(),
        )
        frame = f"{self.url(message)}/frame/{message.pk}"
        for role, sees in (("operator", False), ("admin", True)):
            client = as_role(role)
            assert ("123456" in client.get(self.url(message)).content.decode()) is sees
            assert (client.get(frame).status_code == 200) is sees

    def test_answers_about_security_messages_are_for_admins(self, as_role: As) -> None:
        (message,) = make_messages(1, category="security")
        answered(message, {"sid": "SM77", "status": "queued"})
        for role, sees in (("operator", False), ("admin", True)):
            text = as_role(role).get(self.url(message)).content.decode()
            assert ("SM77" in text) is sees
            assert ("no response at port 25" in text) is sees

    def test_texts_that_a_provider_repeats_are_blank(self, admin: Client) -> None:
        (message,) = make_messages(1)
        answered(
            message,
            {
                "sid": "SM77",
                "body": "Your code is 123456",
                "to": "+4915112345678",
                "result": [{"text": "Your code is 123456", "message_id": 9}],
            },
        )
        text = admin.get(self.url(message)).content.decode()
        assert "SM77" in text
        assert "message_id" in text
        assert "Your code" not in text
        assert "+49151" not in text

    @pytest.mark.parametrize("name", ["1", "nonsense", "0190a7d4-0000-7000-8000-00000000ffff"])
    def test_what_does_not_exist_is_not_found(self, operator: Client, name: str) -> None:
        assert operator.get(f"/console/notifications/{name}").status_code == 404


class TestPerson:
    def test_the_page_shows_what_is_known(self, admin: Client) -> None:
        user = make_user(first_name="Grace", last_name="Hopper", phone_number="+4915112345678")
        now = clock.now()
        Device.objects.create(user=user, kind="fcm", token="t" * 30, platform="ios")
        ConsentRecord.objects.create(
            user_id=user.pk, purpose="marketing", granted=True, source="web", actor="x", at=now
        )
        (message,) = make_messages(1, user=user)
        change_status([message.pk], "cancelled", reason="x", at=now + timedelta(seconds=1))
        text = admin.get(f"/console/people/{user.pk}").content.decode()
        for words in (
            "Grace Hopper",
            user.email,
            "+4915112345678",
            "ios",
            "marketing",
            str(message.notification.uuid),
            "Erase this person",
        ):
            assert words in text

    def test_an_operator_has_no_form_to_erase_or_export(self, operator: Client) -> None:
        text = operator.get(f"/console/people/{make_user().pk}").content.decode()
        assert "Send a template" in text
        assert "Erase" not in text
        assert "Export" not in text

    def test_an_unknown_person_is_not_found(self, operator: Client) -> None:
        assert operator.get("/console/people/999999").status_code == 404
