"""Double opt-in: a consent counts once its button is pressed on the page of the link."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from directory.models import ContactPoint, User
from notifications.domain.errors import Conflict, InvalidRequest
from notifications.features.preferences.double_opt_in import DoubleOptIn
from notifications.features.preferences.service import PreferenceService, preferences_of
from notifications.features.preferences.unsubscribe import link_caller
from notifications.infra.links import LinkKind, sign_link
from notifications.models import Category, ConsentRecord, NotificationMessage, SandboxMessage
from tests.integration.factories import make_template, make_user
from tests.integration.preferences.conftest import message, send, work

pytestmark = pytest.mark.django_db
HOME = "http://127.0.0.1:8000"


def ask(user: User, purpose: str = "marketing") -> str:
    """Requests a consent. Returns the path of the link in the mail."""
    DoubleOptIn().request(purpose=purpose, caller=link_caller(user.pk))
    work()
    mail = SandboxMessage.objects.order_by("-pk").first()
    assert mail is not None
    found = re.search(rf"{HOME}(/confirm/\S+)", mail.content["body"])
    assert found is not None
    return found.group(1)


def confirm(path: str) -> int:
    return int(Client(enforce_csrf_checks=True).post(path).status_code)


@pytest.fixture
def user() -> User:
    return make_user()


def test_a_consent_counts_only_after_the_button_is_pressed(user, frozen):
    make_template(category=Category.objects.get(key="marketing"))
    path = ask(user)
    frozen.forward(60)
    shown = Client().get(path)
    before = send(user, scheduled_at="2030-05-01T12:01:01Z")
    frozen.forward(1)
    work()

    assert shown.status_code == 200
    assert "I want to receive news and offers from Carillon" in shown.content.decode()
    assert ConsentRecord.objects.count() == 0
    assert message(before).status == "suppressed"

    assert confirm(path) == 200
    after = send(user)
    work()

    assert message(after).status == "sent"
    said = [(e.purpose, e.granted, e.source, e.actor) for e in ConsentRecord.objects.order_by("pk")]
    assert said == [
        ("marketing", True, "double_opt_in", "link"),
        ("data_processing", True, "double_opt_in", "link"),
    ]
    assert ConsentRecord.objects.first().wording.startswith("I want to receive news and offers")
    assert ContactPoint.objects.get(user=user, kind="email").verified_at is not None


def test_a_second_press_writes_nothing_and_gets_the_same_page(user, frozen):
    path = ask(user)

    assert [confirm(path), confirm(path)] == [200, 200]
    assert ConsentRecord.objects.count() == 2


def test_an_old_link_does_not_overrule_a_newer_choice(user, frozen):
    path = ask(user)
    confirm(path)
    frozen.forward(60)
    PreferenceService().update(
        changes={"global": {"marketing_enabled": False}}, caller=link_caller(user.pk)
    )

    assert confirm(path) == 404
    assert preferences_of(user.pk).overall.marketing_enabled is False


def test_a_confirmation_link_expires_after_a_week(user, frozen):
    path = ask(user)
    frozen.forward(7 * 24 * 3600)

    assert Client().get(path).status_code == 404
    assert confirm(path) == 404
    assert ConsentRecord.objects.count() == 0


def test_a_link_proves_only_the_address_it_was_sent_to(user):
    path = ask(user)
    ContactPoint.objects.set_primary(user_id=user.pk, kind="email", address="new@example.com")

    assert confirm(path) == 404
    assert ConsentRecord.objects.count() == 0


def test_forged_links_confirm_nothing(user):
    path = ask(user)
    token = path.rpartition("/")[2]
    body, _, tag = token.rpartition(".")
    other = sign_link(LinkKind.PREFERENCES, *body.split(".")[1:])
    tokens = [body, f"{body}.{'A' * 22}", f"{body}A.{tag}", other]

    for each in tokens:
        assert Client().get(f"/confirm/{each}").status_code == 404
        assert confirm(f"/confirm/{each}") == 404
    assert ConsentRecord.objects.count() == 0


def test_confirming_a_category_also_gives_the_consent_it_needs(user):
    Category.objects.filter(key="course").update(legal_basis="consent")
    PreferenceService().unsubscribe(
        caller=link_caller(user.pk), source="one_click", category="course"
    )

    confirm(ask(user, "category:course"))

    found = preferences_of(user.pk)
    assert found.categories["course"].email_enabled is True
    assert found.categories["course"].push_enabled is False
    assert found.overall.data_processing_consent is True
    assert found.overall.marketing_enabled is False


def test_a_list_consent_is_only_recorded_in_the_ledger(user):
    confirm(ask(user, "list:Новости. весна"))

    entry = ConsentRecord.objects.get()
    assert (entry.purpose, entry.granted) == ("list:Новости. весна", True)
    assert "“Новости. весна”" in entry.wording


def test_the_mail_and_the_page_speak_russian():
    path = ask(make_user(locale="ru"))
    mail = SandboxMessage.objects.get().content

    assert mail["title"] == "Подтвердите, пожалуйста: новости и предложения Carillon"
    assert mail["headers"] == {}
    assert "Да, подтверждаю" in Client().get(f"{path}?lang=ru").content.decode()


@pytest.mark.parametrize(
    "purpose", ["", "data_processing", "list:", "category:none", "x" * 81, "list:\x00"]
)
def test_an_invalid_purpose_is_refused(user, purpose):
    with pytest.raises(InvalidRequest) as caught:
        DoubleOptIn().request(purpose=purpose, caller=link_caller(user.pk))

    assert [e.path for e in caught.value.errors] == ["purpose"]


def test_a_user_without_an_address_cannot_get_the_mail():
    user = make_user(email="")

    with pytest.raises(Conflict) as caught:
        DoubleOptIn().request(purpose="marketing", caller=link_caller(user.pk))

    assert caught.value.code == "no_address"


def test_at_most_three_mails_an_hour_are_sent(user, frozen):
    for _ in range(5):
        DoubleOptIn().request(purpose="marketing", caller=link_caller(user.pk))
    work()

    statuses = sorted(NotificationMessage.objects.values_list("status", flat=True))
    assert statuses == ["sent"] * 3 + ["suppressed"] * 2


def test_a_request_for_another_user_needs_the_scope(user, client):
    answer: Any = client.post("/api/v1/consents/requests", {"purpose": "marketing"})

    assert answer.status_code == 401
