"""The search for people: by every name, id and address that a member of staff may have at hand."""

from __future__ import annotations

import pytest
from django.test import Client

from directory.models import User
from notifications.domain.messages import reference_to
from notifications.infra import clock
from notifications.models import DeliveryAttempt
from tests.integration.factories import make_messages, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace(db: None) -> User:
    return make_user(
        username="ghopper",
        email="Grace@Example.com",
        first_name="Grace",
        last_name="Hopper",
        phone_number="+4915112345678",
        external_id="p-7",
    )


@pytest.mark.parametrize(
    "words", ["grace", "Hop", "grace hopper", "ghopper", "grace@example.com", "+49 151 12345678"]
)
def test_people_are_found_by_words(operator: Client, grace: User, words: str) -> None:
    make_user(first_name="Ada")
    text = operator.get("/console/people", {"find": words}).content.decode()
    assert f'href="/console/people/{grace.pk}"' in text
    assert "Ada" not in text


def test_what_names_one_person_leads_to_their_page(operator: Client, grace: User) -> None:
    for words in (str(grace.pk), str(grace.uuid), "p-7", "ext:p-7"):
        answer = operator.get("/console/people", {"find": words})
        assert answer["Location"] == f"/console/people/{grace.pk}", words


def test_a_script_is_asked_to_load_the_page(operator: Client, grace: User) -> None:
    given = {"find": "p-7"}
    answer = operator.get("/console/people", given, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer["HX-Redirect"] == f"/console/people/{grace.pk}"


def test_a_text_that_names_two_people_shows_no_one_alone(operator: Client, grace: User) -> None:
    User.objects.filter(pk=grace.pk).update(external_id=str(grace.pk + 1))
    make_user()
    assert operator.get("/console/people", {"find": str(grace.pk + 1)}).status_code == 200


def test_a_message_is_found_by_our_id_and_that_of_the_provider(operator: Client) -> None:
    (message,) = make_messages(1)
    DeliveryAttempt.objects.create(
        message_id=message.pk,
        number=1,
        provider="twilio",
        verdict="sent",
        provider_message_id="SM0123456789abcdef",
        at=clock.now(),
    )
    uuid = message.notification.uuid
    for words in (str(uuid), uuid.hex, "SM0123456789abcdef"):
        answer = operator.get("/console/people", {"find": words})
        assert answer["Location"] == f"/console/notifications/{uuid}", words


@pytest.mark.parametrize("fold", [" ", "\r\n "])
def test_a_pasted_header_leads_to_its_notification(operator: Client, fold: str) -> None:
    (message,) = make_messages(1)
    uuid = message.notification.uuid
    header = (
        "Received: from mx.example.com by mail.example.org;\r\n Mon, 1 Dec 2025 10:00:00 +0000\r\n"
        f"Message-ID:{fold}<{reference_to(uuid, 'email')}@example.com>\r\nSubject: Hello\r\n"
    )
    answer = operator.post("/console/people", {"find": header + "X-Filler: x\r\n" * 500})
    assert answer["Location"] == f"/console/notifications/{uuid}"


@pytest.mark.parametrize("words", ["x", "ab", "\x00", "%", "' OR 1=1", "9" * 300, "ext:"])
def test_other_texts_find_nothing_and_do_no_harm(operator: Client, grace: User, words: str) -> None:
    answer = operator.get("/console/people", {"find": words})
    assert answer.status_code in (200, 400)
    assert "Grace" not in answer.content.decode()


def test_a_long_result_has_a_next_page(operator: Client) -> None:
    for _ in range(26):
        make_user(first_name="Katherine")
    text = operator.get("/console/people", {"find": "katherine"}).content.decode()
    assert text.count("Katherine") == 25
    assert 'rel="next"' in text
