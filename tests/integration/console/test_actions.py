"""The forms of the console: they do what the API does, and the audit log says who did it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from directory.models import Suppression, User
from notifications.domain.lifecycle import MessageStatus
from notifications.features.preferences.service import preferences_of
from notifications.infra import clock
from notifications.models import (
    AuditQueued,
    DataExport,
    DeadLetter,
    Erasure,
    KillSwitch,
    LegalHold,
    Notification,
    NotificationMessage,
    OperatorAction,
    ProviderFlow,
    change_status,
)
from tests.integration.console.conftest import As
from tests.integration.console.test_pages import dead_letter
from tests.integration.factories import make_messages, make_template, make_user

pytestmark = pytest.mark.django_db


def actions() -> list[str]:
    return list(OperatorAction.objects.order_by("pk").values_list("action", flat=True))


def post(client: Client, path: str, **form: object) -> str:
    """Sends a form, follows its redirect, and returns the page with the message."""
    answer = client.post(path, form, follow=True)
    assert answer.redirect_chain, answer.status_code
    assert answer.status_code == 200
    return answer.content.decode()


class TestStops:
    def test_everything_is_stopped_and_resumed(self, operator: Client) -> None:
        text = post(operator, "/console/stops", scope="all", reason="vendor incident")
        assert "Everything is stopped" in text
        assert KillSwitch.objects.get().actor.startswith("user:")
        text = post(operator, "/console/stops", action="lift", scope="all", value="")
        assert "Nothing is stopped." in text
        assert not KillSwitch.objects.exists()
        assert actions()[-2:] == ["kill-switch.stop", "kill-switch.lift"]

    def test_resuming_names_what_is_still_stopped(self, operator: Client) -> None:
        for scope, value in (("all", ""), ("channel", "sms")):
            post(operator, "/console/stops", scope=scope, value=value, reason="x")
        text = post(operator, "/console/stops", action="lift", scope="channel", value="sms")
        assert "Still stopped: everything" in text
        text = post(operator, "/console/stops", action="lift", scope="all", value="")
        assert "Waiting messages are sent." in text

    def test_a_provider_is_stopped_from_its_own_page(self, operator: Client) -> None:
        text = post(
            operator,
            "/console/stops",
            scope="provider",
            value="smtp",
            reason="x",
            back="/console/providers",
        )
        assert "<h1>Providers</h1>" in text
        assert KillSwitch.objects.filter(scope="provider", value="smtp").exists()

    def test_it_leads_to_pages_of_the_console_alone(self, operator: Client) -> None:
        form = {"scope": "all", "reason": "x", "back": "https://evil.example/"}
        assert operator.post("/console/stops", form)["Location"] == "/console/stops"

    def test_what_is_wrong_is_said_and_nothing_is_stopped(self, operator: Client) -> None:
        text = post(operator, "/console/stops", scope="channel", value="pigeon", reason="")
        assert "Not done:" in text
        assert "is not a channel" in text
        assert not KillSwitch.objects.exists()


class TestDeadLetters:
    def letters(self, count: int = 2) -> list[DeadLetter]:
        messages = make_messages(count, in_batch=False)
        change_status([each.pk for each in messages], MessageStatus.FAILED, reason="timeout")
        return [dead_letter(each) for each in messages]

    def test_the_marked_are_sent_again(self, operator: Client) -> None:
        first, second = self.letters()
        text = post(operator, "/console/dead-letters", action="replay", id=[first.pk])
        assert "1 dead letter was resolved" in text
        first.refresh_from_db()
        second.refresh_from_db()
        assert (first.resolution, second.resolution) == ("replayed", "")
        assert actions()[-1] == "dead-letters.replay"

    def test_all_that_match_are_sent_again(self, operator: Client) -> None:
        first, second = self.letters()
        DeadLetter.objects.filter(pk=second.pk).update(code="auth")
        text = post(operator, "/console/dead-letters", action="replay-matching", code="timeout")
        assert "Queued again: 1. Left: 0." in text
        first.refresh_from_db()
        assert first.resolution == "replayed"

    def test_all_are_never_meant_where_no_filter_is_given(self, operator: Client) -> None:
        self.letters()
        for channel in ("", "emial"):
            form = {"action": "replay-matching", "channel": channel}
            text = operator.post("/console/dead-letters", form, follow=True).content.decode()
            assert "Not done:" in text
        assert DeadLetter.objects.filter(resolved_at__isnull=True).count() == 2

    def test_an_unknown_channel_is_said(self, operator: Client) -> None:
        self.letters()
        answer = operator.get("/console/dead-letters?channel=emial")
        assert answer.status_code == 400
        assert "there is no channel emial" in answer.content.decode()
        assert 'value="replay' not in answer.content.decode()

    def test_the_button_says_how_many_match(self, operator: Client) -> None:
        self.letters()
        text = operator.get("/console/dead-letters?channel=email").content.decode()
        assert "Send all 2 that match again" in text
        assert "replay-matching" not in operator.get("/console/dead-letters").content.decode()

    def test_enter_in_a_field_does_nothing(self, operator: Client) -> None:
        """Browsers press the first button of the form, unless it is disabled."""
        self.letters()
        text = operator.get("/console/dead-letters").content.decode()
        form = text.partition('<form method="post"')[2]
        assert "disabled" in form[form.index("<button") : form.index("</button>")]

    def test_they_are_discarded_with_a_reason(self, operator: Client) -> None:
        (letter,) = self.letters(1)
        text = post(operator, "/console/dead-letters", action="discard", id=[letter.pk])
        assert "say why" in text
        post(operator, "/console/dead-letters", action="discard", id=[letter.pk], reason="by hand")
        letter.refresh_from_db()
        assert (letter.resolution, letter.resolution_reason) == ("discarded", "by hand")

    def test_what_a_person_found_out_is_recorded(self, operator: Client) -> None:
        (letter,) = self.letters(1)
        post(operator, "/console/dead-letters", action="sent", id=[letter.pk], reason="asked them")
        assert NotificationMessage.objects.get(pk=letter.message_id).status == "sent"

    @pytest.mark.parametrize("form", [{"action": "replay"}, {"action": "nonsense", "id": "1"}])
    def test_a_form_that_names_nothing_does_nothing(
        self, operator: Client, form: dict[str, str]
    ) -> None:
        self.letters(1)
        assert "Not done:" in post(operator, "/console/dead-letters", **form)
        assert DeadLetter.objects.filter(resolved_at__isnull=True).count() == 1


def test_a_breaker_is_closed(operator: Client) -> None:
    ProviderFlow.objects.create(service="smtp", open_until=1 << 60)
    assert "Closed: smtp" in post(operator, "/console/providers", service="smtp")
    assert ProviderFlow.objects.get().open_until == 0
    assert actions()[-1] == "breaker.close"


class TestNotification:
    def test_what_waits_is_cancelled(self, operator: Client) -> None:
        (message,) = make_messages(1)
        url = f"/console/notifications/{message.notification.uuid}"
        assert "Cancelled: Email" in post(operator, f"{url}/cancel")
        message.refresh_from_db()
        assert message.status == "cancelled"
        assert AuditQueued.objects.count() > 0
        assert "Not done:" in post(operator, f"{url}/cancel")

    def test_a_mail_that_left_cannot_be_taken_back(self, operator: Client) -> None:
        (message,) = make_messages(1, in_batch=False)
        change_status([message.pk], MessageStatus.SENT, reason="")
        url = f"/console/notifications/{message.notification.uuid}"
        assert "Cannot be taken back: Email." in post(operator, f"{url}/retract")

    def test_its_dead_letters_are_sent_again(self, operator: Client) -> None:
        (message,) = make_messages(1, in_batch=False)
        change_status([message.pk], MessageStatus.FAILED, reason="timeout")
        dead_letter(message)
        url = f"/console/notifications/{message.notification.uuid}"
        assert "Send again what failed" in operator.get(url).content.decode()
        assert "1 message was queued again" in post(operator, f"{url}/replay")
        message.refresh_from_db()
        assert message.status == "pending"


class TestPerson:
    def test_a_template_is_sent(self, operator: Client) -> None:
        make_template()
        user = make_user()
        text = post(
            operator,
            f"/console/people/{user.pk}/test",
            template="test.hello",
            channel="in_app",
            context="amount=5\nnonsense",
            once="first",
        )
        assert "Accepted: notification" in text
        assert Notification.objects.get().user_id == user.pk

    def test_an_unknown_template_is_said(self, operator: Client) -> None:
        user = make_user()
        text = post(operator, f"/console/people/{user.pk}/test", template="no.such", once="x")
        assert "Not done:" in text

    def test_a_form_sends_once(self, operator: Client) -> None:
        make_template()
        url = f"/console/people/{make_user().pk}"
        page = operator.get(url).content.decode()
        assert "This really sends" in page
        token = re.search(r'name="once" value="([^"]{16,})"', page)
        assert token is not None
        assert token[1] not in operator.get(url).content.decode()
        form = {"template": "test.hello", "channel": "in_app", "context": "amount=5"}
        texts = {post(operator, f"{url}/test", **form, once=token[1]) for _ in range(2)}
        assert all(str(Notification.objects.get().uuid) in text for text in texts)
        assert "Not done:" in post(operator, f"{url}/test", **form)
        assert Notification.objects.count() == 1

    def test_sends_count_towards_the_limit_of_staff(
        self, operator: Client, override_environment: Any
    ) -> None:
        override_environment(staff_sends_hourly=1)
        make_template()
        url = f"/console/people/{make_user().pk}/test"
        form = {"template": "test.hello", "channel": "in_app", "context": "amount=5"}
        assert "Accepted" in post(operator, url, **form, once="first")
        assert "limit of 1 requests" in post(operator, url, **form, once="second")
        assert Notification.objects.count() == 1

    def test_a_person_is_unsubscribed(self, operator: Client) -> None:
        user = make_user()
        post(operator, f"/console/people/{user.pk}/unsubscribe", category="")
        assert preferences_of(user.pk).overall.notifications_enabled is False
        assert "It was off already." in post(operator, f"/console/people/{user.pk}/unsubscribe")

    def test_an_address_is_suppressed_with_a_reason(self, operator: Client) -> None:
        user = make_user()
        url = f"/console/people/{user.pk}/suppress"
        assert "say why" in post(operator, url, kind="email", address=user.email)
        text = post(operator, url, kind="email", address=user.email, reason="asked by phone")
        assert "asked by phone" in text
        assert Suppression.objects.filter(kind="email").count() == 1

    def test_staff_are_protected(self, operator: Client) -> None:
        other = make_user(staff_role="admin")
        url = f"/console/people/{other.pk}"
        form = {"kind": "email", "address": other.email, "reason": "x"}
        assert "only an admin may change" in post(operator, f"{url}/suppress", **form)

    def test_an_export_is_requested_and_downloaded_by_admins(self, as_role: As) -> None:
        user = make_user()
        admin = as_role("admin")
        assert "being written" in post(admin, f"/console/people/{user.pk}/export")
        export = DataExport.objects.get()
        assert export.user_id == user.pk
        path = f"/console/exports/{export.uuid}/json"
        assert admin.get(path).status_code == 409
        assert admin.get(f"/console/exports/{export.uuid}/exe").status_code == 404
        assert as_role("operator").get(path).status_code == 403

    def test_an_erasure_needs_a_reason_and_the_word(self, admin: Client) -> None:
        user = make_user()
        url = f"/console/people/{user.pk}/erase"
        assert "say why" in post(admin, url, confirm="erase")
        assert "type the word erase" in post(admin, url, reason="request of 3 May", confirm="yes")
        assert not Erasure.objects.exists()
        refused = admin.post(url, {"reason": "request of 3 May", "confirm": "yes"})
        assert refused["Location"] == f"/console/people/{user.pk}"
        text = post(admin, url, reason="request of 3 May", confirm="erase")
        assert str(Erasure.objects.get().uuid) in text
        assert User.objects.filter(pk=user.pk).exists()

    def test_an_erasure_under_a_legal_hold_says_that_it_waits(self, admin: Client) -> None:
        user = make_user()
        LegalHold.objects.create(
            user_id=user.pk, reason="court", actor="cli", created_at=clock.now()
        )
        url = f"/console/people/{user.pk}/erase"
        text = post(admin, url, reason="request of 3 May", confirm="erase")
        assert "waits for the end of a legal hold" in text
        assert "The erasure has begun" not in text
