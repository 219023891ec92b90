"""A broadcast's recipients as a file: what the list shows, safe in a spreadsheet, page by page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from directory.models import User
from notifications.api.response import FileResponse
from notifications.features.broadcasts.export import recipients_csv
from notifications.infra.csv_text import csv_lines
from notifications.models import Broadcast, BroadcastRecipient
from notifications.models.sources.recipients import insert_recipients
from tests.integration.broadcasts.factories import make_broadcast, make_people
from tests.integration.factories import delete_row

pytestmark = pytest.mark.django_db
URL = "/api/admin/broadcasts"


def made_for(people: list[int]) -> Broadcast:
    made = make_broadcast(status="sending", recipient_count=len(people))
    insert_recipients(made.pk, people, [0] * len(people))
    return made


def read(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def rows_of(client: APIClient, made: Broadcast, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"{URL}/{made.pk}/recipients.csv{query}")
    assert answer.status_code == 200
    return read(answer.getvalue())


def test_the_file_says_what_the_list_says(as_staff: APIClient) -> None:
    one, two = make_people(2)
    made = made_for([one, two])
    BroadcastRecipient.objects.filter(recipient_id=one).update(
        state="sent",
        channel_states={"email": "sent", "telegram": "failed"},
        sent_at=datetime(2026, 5, 1, 12, tzinfo=UTC),
    )
    BroadcastRecipient.objects.filter(recipient_id=two).update(state="failed", error="No, thanks")

    answer = as_staff.get(f"{URL}/{made.uuid}/recipients.csv/")
    listed = as_staff.get(f"{URL}/{made.pk}/recipients/").data["results"]

    assert isinstance(answer, FileResponse)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert (
        answer["Content-Disposition"]
        == f'attachment; filename="broadcast-{made.pk}-recipients.csv"'
    )
    assert answer["Cache-Control"] == "no-store"
    first, second = read(answer.getvalue())
    assert list(first) == list(listed[0])
    for row, shown in zip((first, second), listed, strict=True):
        for name in ("id", "user_id", "user_name", "email", "status"):
            assert row[name] == str(shown[name])
    assert (first["channels"], first["sent_at"]) == (
        "email=sent telegram=failed",
        "2026-05-01T12:00:00Z",
    )
    assert (second["error_message"], second["telegram_sent"]) == ("No, thanks", "false")


def test_the_filters_are_the_lists(as_staff: APIClient) -> None:
    people = make_people(4)
    made = made_for(people)
    BroadcastRecipient.objects.filter(recipient_id=people[1]).update(state="failed")

    assert [row["user_id"] for row in rows_of(as_staff, made, "?status=failed")] == [str(people[1])]
    assert len(rows_of(as_staff, made, "?status=pending")) == 3
    assert rows_of(as_staff, made, "?status=sent") == []
    for query in ("status=lost", "page=2", "format=csv"):
        assert as_staff.get(f"{URL}/{made.pk}/recipients.csv?{query}").status_code == 400


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1"])
def test_no_cell_is_run_as_a_formula(name: str, as_staff: APIClient) -> None:
    (person,) = make_people(1)
    user = User.objects.get(pk=person)
    user.first_name, user.last_name = name, "x"
    user.save()
    made = made_for([person])
    BroadcastRecipient.objects.update(state="failed", error=f'{name}"; a, b\n')

    (row,) = rows_of(as_staff, made)

    for cell in (row["user_name"], row["error_message"]):
        assert cell.lstrip()[0] in ("'", "1") or not cell.lstrip().startswith(tuple("=+-@\uff1d"))
    assert row["error_message"].removeprefix("'").replace("'", "") == f'{name}"; a, b\n'


@pytest.mark.parametrize("mark", [";", "\t", "\n", "\r", "; ", '";'])
def test_no_part_of_a_cell_is_run_by_a_spreadsheet_that_splits_elsewhere(mark: str) -> None:
    """Where a comma is the decimal sign, spreadsheets split at semicolons, and see no quotes."""
    line = csv_lines([["1", f"Ada{mark}=1+1{mark}-2{mark}b-c", "x"]]).decode()

    found = [part.strip() for part in re.split(r"[;\t\r\n]", line)]
    assert not [part for part in found if part.startswith(tuple("=+-@"))]
    assert {"'=1+1", "'-2"} <= {part.strip('"') for part in found}
    assert "'b" not in line


def test_of_a_person_who_was_erased_only_the_id_is_left(as_staff: APIClient) -> None:
    (person,) = make_people(1)
    made = made_for([person])
    delete_row(person)

    (row,) = rows_of(as_staff, made)

    assert (row["user_id"], row["user_name"], row["email"]) == (str(person), "", "")


def test_only_who_sees_the_list_gets_the_file(
    api: APIClient, as_user: APIClient, with_key: Callable[..., APIClient]
) -> None:
    made = made_for(make_people(1))
    path = f"{URL}/{made.pk}/recipients.csv"

    assert api.get(path).status_code == 401
    assert as_user.get(path).status_code == 403
    assert with_key("notifications:read").get(path).data["scope"] == "broadcasts"
    assert with_key("broadcasts").get(path).status_code == 200
    assert with_key("broadcasts").get(f"{URL}/99999/recipients.csv").data["error"] == (
        "Broadcast 99999 not found"
    )


def test_it_is_read_by_key_a_page_at_a_time() -> None:
    people = make_people(7)
    made = made_for(people)
    others = made_for(people)
    parts = recipients_csv(made, page=3)

    with CaptureQueriesContext(connection) as queries:
        first = next(parts)
    keys = int(settings.KEYS_ALIAS == "default")  # a page of keys, where they are here, too
    assert len(queries) == 3 + keys, "the rest is read when it is asked for"
    rest = list(parts)

    assert first.count(b"\r\n") == 4, "the columns' names and a page"
    assert [part.count(b"\r\n") for part in rest] == [3, 1]
    found = [row["user_id"] for row in read(b"".join([first, *rest]))]
    assert found == [str(person) for person in people]
    assert others.pk != made.pk


def test_a_page_is_found_by_an_index(plans: Any) -> None:
    made = made_for(make_people(3))
    rows = BroadcastRecipient.objects.filter(broadcast=made, recipient_id__gt=5)
    page = rows.order_by("recipient_id").values_list("pk", "recipient_id")[:1000]

    assert "broadcastrecipient using covering index" in plans(
        page
    ) or "broadcast_recipient_once" in plans(page)


@pytest.fixture
def plans() -> Callable[[Any], str]:
    """How the database would read, were the table a long one."""

    def plan(rows: Any) -> str:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan = off")
        return str(rows.explain()).lower()

    return plan


def test_it_is_empty_but_for_the_names(as_staff: APIClient) -> None:
    made = made_for([])

    content = as_staff.get(f"{URL}/{made.pk}/recipients.csv").getvalue()

    assert content.startswith(b"id,user_id,user_name,email,")
    assert content.count(b"\r\n") == 1
    assert as_staff.head(f"{URL}/{made.pk}/recipients.csv").status_code == 200


def test_a_fault_of_the_first_page_is_an_error_and_no_broken_file(
    as_staff: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_for(make_people(1))

    def away(*_: Any) -> Any:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr("notifications.features.broadcasts.export.recipient_responses", away)
    answer = as_staff.get(f"{URL}/{made.pk}/recipients.csv")

    assert (answer.status_code, answer.data["code"]) == (503, "database_unavailable")
