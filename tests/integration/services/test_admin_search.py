"""The search of `/admin/`: exact, by what has an index, with no read of a whole table."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from directory.models import User
from notifications.features.people.service import people_named
from notifications.infra import clock
from notifications.models import DeliveryAttempt
from tests.integration.factories import make_messages, make_user
from tests.integration.statements import Statements

pytestmark = pytest.mark.django_db
USERS = "/admin/directory/user/"
MESSAGES = "/admin/notifications/notificationmessage/"
NOTIFICATIONS = "/admin/notifications/notification/"


@pytest.fixture
def admin(db: None) -> Client:
    client = Client()
    client.force_login(make_user(username="root", staff_role="admin"))
    return client


def found(client: Client, path: str, text: str) -> set[str]:
    """Returns the keys of the rows that a search shows."""
    answer = client.get(path, {"q": text})
    assert answer.status_code == 200
    return {str(row.pk) for row in answer.context["cl"].result_list}


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.com",
        "Ada@Example.COM",
        "lovelace1",
        "+4915112345678",
        "Ada Lovelace",
        "lovel",
        "p-8",
        "ext:p-8",
    ],
)
def test_a_person_is_found_by_what_names_them(admin: Client, text: str) -> None:
    ada = make_user(
        username="lovelace1",
        first_name="Ada",
        last_name="Lovelace",
        email="ada@example.com",
        phone_number="+4915112345678",
        external_id="p-8",
    )
    make_user(username="other", first_name="Grace", last_name="Hopper")
    assert found(admin, USERS, text) == {str(ada.pk)}


def test_a_person_is_found_by_number_and_uuid(admin: Client) -> None:
    ada = make_user()
    make_user()
    assert found(admin, USERS, str(ada.uuid)) == {str(ada.pk)}
    assert str(ada.pk) in found(admin, USERS, f" {ada.pk} ")


@pytest.mark.parametrize("text", ["ad", "%", "no-one@example.com", "9" * 30, "x" * 2000])
def test_other_texts_find_no_one(admin: Client, text: str) -> None:
    make_user()
    assert found(admin, USERS, text) == set()


def test_messages_and_notifications_are_found_by_id(admin: Client) -> None:
    one, other = make_messages(2, channel="email")
    DeliveryAttempt.objects.create(
        message_id=one.pk,
        number=1,
        provider="smtp",
        verdict="sent",
        at=clock.now(),
        provider_message_id="<abc@mail>",
    )
    for text in (str(one.pk), str(one.notification.uuid), "<abc@mail>"):
        assert found(admin, MESSAGES, text) == {str(one.pk)}
        assert found(admin, NOTIFICATIONS, text) == {str(one.notification_id)}
    both = {str(one.notification_id), str(other.notification_id)}
    assert both <= found(admin, NOTIFICATIONS, str(one.user_id))
    assert found(admin, MESSAGES, "email") == set()


def test_rows_of_a_person_are_found_by_their_number(admin: Client) -> None:
    ada = make_user(email="ada@example.com")
    make_user(email="grace@example.com")
    path = "/admin/directory/contactpoint/"
    assert len(found(admin, path, str(ada.pk))) == ada.contact_points.count()
    assert found(admin, path, "ada@example.com") == set()


def test_no_search_casts_a_column_to_text(admin: Client) -> None:
    make_messages(1)
    for path in (USERS, MESSAGES, NOTIFICATIONS, "/admin/notifications/job/"):
        with Statements() as sent:
            found(admin, path, "12345")
        texts = [each for each in sent.texts if "WHERE" in each]
        assert not [each for each in texts if "::text" in each or "LIKE" in each.upper()]


_FILL = """
INSERT INTO directory_searchtoken (token, user_id)
SELECT n, n % 20000 FROM generate_series(1, 60000) n"""


@pytest.mark.parametrize("text", ["lovelace", "Ada Lovelace", "ada@example.com"])
def test_a_search_of_people_reads_the_index_of_tokens(text: str) -> None:
    condition = people_named(text)
    assert condition is not None
    rows: Any = User.objects.filter(condition).order_by("pk")[:50]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_FILL)
            cursor.execute("ANALYZE directory_searchtoken")
    plan = rows.explain()
    assert "Seq Scan on directory_searchtoken" not in plan
    assert "SCAN directory_searchtoken" not in plan
    assert "SCAN directory_user" not in plan
    assert "SubPlan" not in plan
