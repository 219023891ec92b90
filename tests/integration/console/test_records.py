"""Audit log, webhooks, API keys and staff: what the pages show, and what their forms do."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta

import pytest
from django.test import Client

from directory.models import User
from notifications.domain.status_events import KINDS
from notifications.features.access.principals import caller_of_user
from notifications.features.audit.sealer import seal_due
from notifications.features.preferences.consents import ConsentService
from notifications.features.webhooks.deliver import DeliveryReport
from notifications.infra import clock
from notifications.models import (
    ApiKey,
    AuditLeaf,
    AuditQueued,
    SignIn,
    StatusEvent,
    WebhookDelivery,
    WebhookEndpoint,
)
from tests.integration.audit.world import AT, write
from tests.integration.console.conftest import As
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.com/carillon"


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return html.unescape(answer.content.decode())


def post(client: Client, path: str, **given: object) -> str:
    """Posts a form; returns the text of the page that follows."""
    answer = client.post(path, given, follow=True)
    assert answer.status_code == 200, answer.content
    return html.unescape(answer.content.decode())


def once(client: Client, path: str) -> str:
    """Returns the token of the form that makes something once."""
    found = re.search(r'name="once" value="([^"]+)"', text_of(client, path))
    assert found is not None
    return found[1]


def marked(text: str) -> list[int]:
    """Returns the ids of the rows of a page, in their order."""
    return [int(key) for key in re.findall(r'name="id" value="(\d+)"', text)]


def recorded(action: str) -> AuditQueued:
    return AuditQueued.objects.get(action=action)


def endpoint_of(**values: object) -> WebhookEndpoint:
    now = clock.now()
    given = {"url": URL, "secrets": [{"secret": "whsec_x", "until": None}], **values}
    return WebhookEndpoint.objects.create(
        created_by="user:1", created_at=now, updated_at=now, **given
    )


def failed_delivery(endpoint: WebhookEndpoint, **values: object) -> WebhookDelivery:
    now = clock.now()
    event = StatusEvent.objects.create(kind="message.failed", message_id=1, at=now)
    given = {"state": "failed", "tries": 3, "error": "connection refused", **values}
    return WebhookDelivery.objects.create(
        endpoint_id=endpoint.pk, event_id=event.pk, created_at=now, **given
    )


class TestAudit:
    def test_entries_are_filtered_by_links_and_paged_by_key(self, admin: Client) -> None:
        write(51)
        seal_due(now=AT)
        first = text_of(admin, "/console/audit?actor=user:1")
        assert "thing:50" in first
        assert "thing:0<" not in first
        assert 'href="/console/audit?actor=user%3A1&action=test.change"' in first
        link = re.search(r'rel="next" href="([^"]+)"', first)
        assert link is not None
        assert "thing:0<" in text_of(admin, link[1])
        one = text_of(admin, "/console/audit?target=thing:7")
        assert "thing:7<" in one
        assert "thing:8<" not in one
        assert 'href="/console/audit" aria-current="true">Target: thing:7' in one

    def test_the_link_to_slices_keeps_the_range_alone(self, admin: Client) -> None:
        text = text_of(admin, "/console/audit?actor=user:1&target=thing:7&from=2030-05-01")
        assert 'href="/console/audit?action=slice&from=2030-05-01"' in text

    def test_a_day_of_the_range_is_one_of_the_visitor(self, admin: Client) -> None:
        write(1)  # on 1 May 2030
        seal_due(now=AT)
        assert "thing:0" in text_of(admin, "/console/audit?from=2030-05-01&to=2030-05-01")
        assert "No entry matches." in text_of(
            admin, "/console/audit?action=test.change&from=2030-05-02"
        )
        assert "No entry matches." in text_of(
            admin, "/console/audit?action=test.change&to=2030-04-30"
        )
        assert admin.get("/console/audit?from=yesterday").status_code == 400

    def test_an_entry_shows_what_changed_with_its_proof(self, admin: Client) -> None:
        write(3)
        seal_due(now=AT)
        leaf = AuditLeaf.objects.get(target="thing:1")
        path = f"/console/audit/{leaf.number}"
        text = text_of(admin, path)
        assert "test.change" in text
        row = re.search(r"<tr><td[^>]*><code>number</code>.*?</tr>", text)
        assert row is not None
        assert re.findall(r">(\d+)</td>", row[0]) == ["1", "2"]
        proof = json.loads(admin.get(f"{path}/proof").content)
        assert proof["leaf"]["number"] == leaf.number
        assert proof["leaf"]["leaf_hash"] == bytes(leaf.leaf_hash).hex()
        assert admin.get(f"{path}/receipt").status_code == 404
        assert admin.get(f"{path}/nonsense").status_code == 404
        assert admin.get("/console/audit/99999").status_code == 404

    def test_a_consent_has_a_receipt(self, admin: Client) -> None:
        person = make_user()
        caller = User.objects.get(staff_role="admin")
        ConsentService().give(
            purpose="marketing",
            wording="yes",
            source="web",
            caller=caller_of_user(caller),
            identifier=person.pk,
        )
        seal_due(now=AT)
        leaf = AuditLeaf.objects.get(action="consent.given")
        assert "/receipt" in text_of(admin, f"/console/audit/{leaf.number}")
        receipt = json.loads(admin.get(f"/console/audit/{leaf.number}/receipt").content)
        assert receipt["format"] == "carillon-receipt/v1"

    def test_entries_are_csv(self, admin: Client) -> None:
        write(2)
        seal_due(now=AT)
        answer = admin.get("/console/audit/export?target=thing:1")
        lines = b"".join(answer).decode().splitlines()  # type: ignore[arg-type]  # it is streamed
        assert len(lines) == 2
        assert "thing:1" in lines[1]
        assert admin.get("/console/audit/export?from=x")["Location"] == "/console/audit?from=x"


class TestWebhooks:
    def test_an_endpoint_is_added_once_and_its_secret_shown_once(self, operator: Client) -> None:
        path = "/console/webhooks"
        form = {"once": once(operator, path), "url": URL, "events": ["message.failed"]}
        answer = operator.post(path, form)
        secret = re.search(r"whsec_[\w+/=]+", answer.content.decode())
        assert secret is not None
        assert answer["Cache-Control"] == "no-store"
        assert "already" not in answer.content.decode() + text_of(operator, path)
        row = WebhookEndpoint.objects.get()
        assert (row.url, row.events) == (URL, ["message.failed"])
        assert recorded("webhook.create").actor.startswith("user:")
        again = operator.post(path, form, follow=True).content.decode()
        assert "It was added already." in again
        assert WebhookEndpoint.objects.count() == 1
        assert secret[0] not in again + text_of(operator, f"{path}/{row.pk}")

    def test_a_refused_url_is_said(self, operator: Client) -> None:
        token = once(operator, "/console/webhooks")
        text = post(operator, "/console/webhooks", once=token, url="http://127.0.0.1/")
        assert "Not done" in text
        assert not WebhookEndpoint.objects.exists()

    def test_deliveries_are_filtered_and_delivered_again(self, operator: Client) -> None:
        row = endpoint_of()
        failed = failed_delivery(row)
        failed_delivery(row, state="delivered", error="", http_status=200)
        path = f"/console/webhooks/{row.pk}"
        text = text_of(operator, f"{path}?state=failed")
        assert "connection refused" in text
        assert text.count('name="id"') == 1
        assert "mark the deliveries first" in post(operator, path, action="replay")
        done = post(operator, path, action="replay", id=[failed.pk])
        assert "1 event is delivered again." in done
        failed.refresh_from_db()
        assert failed.state == "waiting"
        assert recorded("webhook.replay").actor.startswith("user:")
        since = (clock.now() - timedelta(hours=1)).isoformat()
        assert "delivered again" in post(operator, path, action="replay-since", since=since)
        assert "write times as" in post(operator, path, action="replay-since", since="noon")

    def test_deliveries_are_the_newest_first(
        self, operator: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = endpoint_of()
        keys = [failed_delivery(row).pk for _ in range(52)]
        delivered = failed_delivery(row, state="delivered").pk
        path = f"/console/webhooks/{row.pk}"
        first = text_of(operator, path)
        assert marked(first) == [delivered, *keys[:2:-1]]
        link = re.search(r'rel="next" href="([^"]+)"', first)
        assert link is not None
        assert marked(text_of(operator, link[1])) == keys[2::-1]
        assert marked(text_of(operator, f"{path}?state=failed")) == keys[:1:-1]
        monkeypatch.setattr("notifications.features.webhooks.service.MOST_SEEN", 40)
        few = text_of(operator, f"{path}?state=failed")
        assert marked(few) == keys[:12:-1]
        assert "The next page looks at older ones." in few
        link = re.search(r'rel="next" href="([^"]+)"', few)
        assert link is not None
        assert marked(text_of(operator, link[1])) == keys[12::-1]

    def test_events_that_were_all_ticked_are_those(self, operator: Client) -> None:
        path = "/console/webhooks"
        operator.post(path, {"once": once(operator, path), "url": URL, "events": list(KINDS)})
        assert set(WebhookEndpoint.objects.get().events) == set(KINDS)

    def test_an_endpoint_is_changed_renewed_tested_and_removed(
        self, operator: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = endpoint_of(active=False, disabled_reason="no success for 5 days")
        path = f"/console/webhooks/{row.pk}"
        assert "no success for 5 days" in text_of(operator, path)
        assert "was changed" in post(operator, path, action="change", url=URL + "2", active="on")
        row.refresh_from_db()
        assert (row.url, row.active, row.disabled_reason) == (URL + "2", True, "")
        new = post(operator, path, action="rotate", once=once(operator, path))
        assert "whsec_" in new
        assert len(WebhookEndpoint.objects.get().secrets) == 2

        async def taken(*_given: object) -> DeliveryReport:
            return DeliveryReport(status=204, error="", duration_ms=7)

        monkeypatch.setattr("notifications.features.webhooks.service.post", taken)
        assert "204 after 7 ms" in post(operator, path, action="test")

        async def refused(*_given: object) -> DeliveryReport:
            return DeliveryReport(status=500, error="status 500", duration_ms=7)

        monkeypatch.setattr("notifications.features.webhooks.service.post", refused)
        assert "Not done: The endpoint did not take" in post(operator, path, action="test")
        assert "choose what to do" in post(operator, path, action="dance")
        assert "was removed" in post(operator, path, action="delete")
        assert not WebhookEndpoint.objects.exists()


class TestKeys:
    def test_a_key_is_issued_and_its_text_shown_once(self, admin: Client) -> None:
        path = "/console/keys"
        form = {
            "once": once(admin, path),
            "name": "billing",
            "scopes": ["notifications:send"],
            "kind": "live",
            "addresses": "192.0.2.7\r\n2001:db8::/32",
        }
        answer = admin.post(path, form)
        text = re.search(r"ck_live_\w+", answer.content.decode())
        assert text is not None
        key = ApiKey.objects.get()
        assert (key.scopes, len(key.addresses)) == (["notifications:send"], 2)
        assert recorded("api-key.issued").actor.startswith("user:")
        again = admin.post(path, form, follow=True).content.decode()
        assert "was issued already" in again
        assert text[0] not in again
        assert text[0] not in text_of(admin, f"{path}/{key.pk}")
        assert ApiKey.objects.count() == 1

    def test_a_key_is_renewed_limited_and_revoked(self, admin: Client) -> None:
        key, _text = ApiKey.make(name="old", scopes=["notifications:read"])
        path = f"/console/keys/{key.pk}"
        renewed = post(admin, path, action="rotate", hours="2", once=once(admin, path))
        assert "ck_live_" in renewed
        key.refresh_from_db()
        assert key.previous_until is not None
        assert "were set" in post(admin, path, action="addresses", addresses="10.0.0.0/8")
        wrong = post(admin, path, action="addresses", addresses="nowhere")
        assert "must be an address or a network" in wrong
        assert "was revoked" in post(admin, path, action="revoke")
        assert recorded("api-key.revoked").target == f"key:{key.pk}"
        text = text_of(admin, path)
        assert "Renew" not in text
        assert "revoked" in text_of(admin, "/console/keys")
        assert admin.get("/console/keys/99999").status_code == 404

    def test_faults_of_a_new_key_are_said(self, admin: Client) -> None:
        token = once(admin, "/console/keys")
        text = post(admin, "/console/keys", once=token, name="x", scopes="no:such", kind="live")
        assert "Not done" in text
        assert not ApiKey.objects.exists()


class TestStaff:
    def sign_in(self, user: User) -> SignIn:
        now = clock.now()
        return SignIn.objects.create(
            user=user,
            kind="tokens",
            method="password",
            password_mark="x",
            agent="curl/8",
            created_at=now,
            seen_at=now,
            expires_at=now + timedelta(days=1),
        )

    def test_a_role_is_given_and_ended(self, admin: Client) -> None:
        ann = make_user(username="ann", staff_role="author")
        assert "ann" in text_of(admin, "/console/staff?role=author")
        path = f"/console/staff/{ann.pk}"
        assert "was set" in post(admin, path, action="role", role="operator")
        ann.refresh_from_db()
        assert ann.staff_role == "operator"
        assert recorded("staff.role").actor.startswith("user:")
        assert "Not done" in post(admin, path, action="role", role="emperor")
        assert "ann" not in post(admin, path, action="role", role="none").split("<main")[1]
        ann.refresh_from_db()
        assert ann.staff_role is None
        assert admin.get(path).status_code == 404

    def test_the_last_admin_stays(self, admin: Client) -> None:
        me = User.objects.get(staff_role="admin")
        text = post(admin, f"/console/staff/{me.pk}", action="role", role="author")
        assert "this is the last active admin" in text

    def test_sign_ins_end_one_by_one_and_all_at_once(self, admin: Client) -> None:
        ann = make_user(staff_role="author")
        path = f"/console/staff/{ann.pk}"
        rows = [self.sign_in(ann) for _ in range(3)]
        assert text_of(admin, path).count("curl/8") == 3
        assert "has ended" in post(admin, path, action="end", sign_in=rows[0].pk)
        assert SignIn.objects.filter(user=ann).count() == 2
        assert recorded("sign-in.ended").subject_id == ann.pk
        assert "2 sign-ins and tokens have ended." in post(admin, path, action="end-all")
        assert not SignIn.objects.filter(user=ann).exists()


@pytest.mark.parametrize("page", ["audit", "keys", "staff"])
def test_only_admins_open_the_pages_of_access(as_role: As, page: str) -> None:
    assert as_role("operator").get(f"/console/{page}").status_code == 403
