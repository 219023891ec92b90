"""The centre's own export: a preferences link opens no data, a fresh link by mail does."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from directory.models import ContactPoint
from notifications.domain.callers import SYSTEM, Caller
from notifications.engine.prepare import prepare
from notifications.engine.runs import keys_of
from notifications.features.people.proofs import ProofService
from notifications.features.preferences.double_opt_in import DoubleOptIn
from notifications.features.privacy.export.building import build_due
from notifications.features.privacy.service import PrivacyService
from notifications.infra.links import LinkKind, preferences_url, sign_link
from notifications.models import AuditQueued, DataExport, Notification
from notifications.queue import batches
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
HOST = "http://127.0.0.1:8000"


@pytest.fixture
def browser():
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def person(frozen):
    user = make_user(locale="ru")
    prove(user, user.email)
    return user


def prove(user, address):
    """The person confirms an address with the code that was sent there."""
    caller = Caller(name=f"user:{user.pk}", user_id=user.pk)
    ProofService().start(kind="email", address=address, caller=caller)
    code = Notification.objects.order_by("-pk")[0].context["code"]
    ProofService().confirm(kind="email", code=code, caller=caller)


def ask(browser, user):
    path = preferences_url(user.pk, user.email).removeprefix(HOST)
    done = browser.post(path, {"your_data": "1"})
    assert done.status_code == 302, done.content
    return re.search(r"data=(\w+)", done.url)[1]


def link_in_mail():
    context = Notification.objects.order_by("-pk")[0].context
    return context["data_url"].removeprefix(HOST)


def test_a_person_downloads_by_a_fresh_link(browser, person, frozen):
    assert ask(browser, person) == "sent"
    assert not DataExport.objects.exists(), "the link to preferences begins nothing"
    link = link_in_mail()
    assert "Подготовить мои данные" in browser.get(link).content.decode()
    assert not DataExport.objects.exists(), "a program that opens links begins nothing"
    assert browser.get(f"{link}/json").status_code == 404
    assert browser.post(link).status_code == 302
    assert "Данные готовятся" in browser.get(link).content.decode()

    build_due(now=frozen.now)
    assert f"{link}/html" in browser.get(link).content.decode()
    done = browser.get(f"{link}/html")
    text = b"".join(done.streaming_content).decode()
    assert person.email in text
    assert link.rpartition("/")[2] not in text
    assert done["Referrer-Policy"] == "no-referrer"
    assert browser.get(f"{link}/xml").status_code == 404
    assert {r.action for r in AuditQueued.objects.filter(actor="link")} == {
        "export.link_sent",
        "export.requested",
        "export.downloaded",
    }


def test_the_link_ends_after_an_hour_and_with_the_address(browser, person, frozen):
    ask(browser, person)
    link = link_in_mail()
    frozen.forward(3_601)
    assert browser.get(link).status_code == 404
    ask(browser, person)
    link = link_in_mail()
    assert browser.get(link).status_code == 200
    person.email = "new@example.com"
    person.save()
    assert browser.get(link).status_code == 404


def test_the_link_ends_with_the_proof_of_the_address(browser, person, frozen):
    ask(browser, person)
    link, own = link_in_mail(), person.email
    for address in ("new@example.com", own):
        person.email = address
        person.save()
        assert browser.get(link).status_code == 404, "the address has no proof"
    frozen.forward(1)
    prove(person, own)
    assert browser.get(link).status_code == 404, "it is another proof"
    assert ask(browser, person) == "sent"
    link = link_in_mail()
    assert browser.get(link).status_code == 200
    ContactPoint.objects.filter(user=person, kind="email").update(state="bounced")
    assert browser.get(link).status_code == 404


def test_the_mail_goes_to_the_address_that_was_checked(browser, person, override_environment):
    override_environment(email_provider="smtp")
    own = person.email
    ask(browser, person)
    person.email = "new@example.com"
    person.save()
    (item,) = prepare("email", keys_of(batches.lease(owner="w", lane="critical", seconds=60))).ready
    assert item.outbound.recipient == own


def test_other_links_are_no_link_to_data(browser, person):
    token = preferences_url(person.pk, person.email).rpartition("/")[2]
    assert browser.get(f"/your-data/{token}").status_code == 404
    forged = sign_link(LinkKind.CONFIRM, str(person.pk), "x", "9999999999")
    assert browser.get(f"/your-data/{forged}/json").status_code == 404


def test_an_address_that_is_not_verified_gets_no_link(browser, frozen):
    user = make_user()
    assert ask(browser, user) == "no_address"
    assert not Notification.objects.exists()


def test_a_key_that_confirms_an_address_of_its_own_gets_no_data(browser, frozen, with_key):
    user = make_user()
    sync = with_key("users:write")
    body = {"user_id": user.pk, "kind": "email", "address": "thief@example.com"}
    assert sync.post("/api/v1/verifications", body).status_code in (200, 201, 202)
    code = Notification.objects.order_by("-pk")[0].context["code"]
    body = {"user_id": user.pk, "kind": "email", "code": code}
    assert sync.post("/api/v1/verifications/confirm", body).status_code == 200
    user.refresh_from_db()
    assert user.email == "thief@example.com"
    assert ask(browser, user) == "no_address"


def test_a_key_that_confirms_an_address_by_double_opt_in_gets_no_data(browser, frozen):
    user = make_user(email="thief@example.com")
    DoubleOptIn().request(purpose="marketing", caller=SYSTEM, identifier=user.pk)
    url = Notification.objects.order_by("-pk")[0].context["confirm_url"]
    assert DoubleOptIn().confirm(token=url.rpartition("/")[2], wording="w")
    assert ContactPoint.objects.get(user=user, kind="email").verified_at == frozen.now
    assert ask(browser, user) == "no_address"


def test_an_address_whose_proof_was_deleted_gets_no_link(browser, person, frozen):
    assert AuditQueued.objects.filter(action="address.verified").update(action="x") == 1
    assert ask(browser, person) == "no_address"


def test_links_are_bounded_a_day(browser, person, frozen):
    assert [ask(browser, person) for _ in range(4)] == ["sent", "sent", "sent", "too_many"]
    frozen.forward(86_401)
    assert ask(browser, person) == "sent"


def test_an_erased_person_gets_a_clear_page(browser, person, frozen):
    ask(browser, person)
    link = link_in_mail()
    PrivacyService().erase_user(identifier=person.pk, reason="r", caller=SYSTEM)
    assert browser.post(link).status_code == 404
