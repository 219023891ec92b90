"""Two batches overlap on PostgreSQL, and the result is that of one after another."""

from __future__ import annotations

import json
import random
import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from directory import importing
from directory.importing import ImportReport, import_users
from directory.models import User
from directory.people import UpsertReport

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer"),
]
_LONG_S = 60


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 3)


def people(count: int, **more: Any) -> list[str]:
    return [json.dumps({"external_id": f"e{n}", "username": f"u{n}", **more}) for n in range(count)]


def write(lines: list[str], on_written: Any = None) -> ImportReport:
    return import_users(lines, kind="ndjson", on_written=on_written)


def test_a_batch_is_prepared_while_the_one_before_it_is_written() -> None:
    second = threading.Event()
    seen: list[bool] = []

    def on_written(done: UpsertReport) -> None:
        if {user.username for user in done.people.values()} == {"u0", "u1", "u2"}:
            seen.append(second.wait(_LONG_S))
        else:
            second.set()

    report = write(people(9), on_written)

    assert (report.created, seen, User.objects.count()) == (9, [True], 9)


def test_a_batch_that_fails_is_written_again_with_the_one_after_it() -> None:
    calls: list[set[str]] = []

    def on_written(done: UpsertReport) -> None:
        calls.append({user.username for user in done.people.values()})
        if calls.count({"u0", "u1", "u2"}) == 1:
            raise IntegrityError("another process")

    report = write(people(6), on_written)

    assert (report.created, report.errors, User.objects.count()) == (6, [], 6)
    assert calls[-2:] == [{"u0", "u1", "u2"}, {"u3", "u4", "u5"}]


def test_the_lines_of_a_batch_that_fails_twice_are_written_one_by_one() -> None:
    def on_written(done: UpsertReport) -> None:
        if "u1" in {user.username for user in done.people.values()}:
            raise IntegrityError("another process")

    report = write(people(6), on_written)

    assert report.created == User.objects.count() == 5
    reason = "belongs to a person whom another process wrote at the same time"
    assert report.errors == [(2, reason)]


def test_a_fault_of_one_batch_ends_the_import_and_what_came_before_it_stays() -> None:
    def on_written(done: UpsertReport) -> None:
        if "u4" in {user.username for user in done.people.values()}:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(people(12), on_written)

    assert {user.username for user in User.objects.all()} == {"u0", "u1", "u2"}


def test_in_a_transaction_of_the_caller_all_is_written_by_its_connection() -> None:
    with transaction.atomic():
        assert write(people(9)).created == 9
        assert User.objects.count() == 9
        transaction.set_rollback(True)

    assert not User.objects.exists()


def mixed_file(rng: random.Random) -> list[str]:
    """Lines that name some people by several keys, rename them, and are wrong now and then."""
    lines = []
    for _ in range(rng.randint(10, 40)):
        line: dict[str, Any] = {}
        if rng.random() < 0.8:
            line["external_id"] = f"e{rng.randint(0, 12)}"
        if rng.random() < 0.7:
            line["username"] = f"u{rng.randint(0, 12)}"
        if rng.random() < 0.4 or not line:
            line["email"] = f"u{rng.randint(0, 12)}@example.org"
        line["first_name"] = f"Name{rng.randint(0, 99)}"
        if rng.random() < 0.2:
            token = "t" * 20 + str(rng.randint(0, 5))
            line["devices"] = [{"token": token, "kind": "fcm", "platform": "android"}]
        lines.append(json.dumps(line) if rng.random() < 0.97 else "no JSON")
    return lines


def stored() -> list[Any]:
    """Returns what is stored of each person; a username that was made up is left out."""
    return sorted(
        (
            user.external_id or "",
            "" if user.username.startswith("user-") else user.username,
            user.email,
            user.first_name,
            sorted(device.token for device in user.devices.all()),
        )
        for user in User.objects.all()
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_result_is_that_of_one_batch_after_another(seed: int) -> None:
    lines = mixed_file(random.Random(seed))
    with transaction.atomic():
        expected = write(lines), stored()
        transaction.set_rollback(True)

    assert (write(lines), stored()) == expected
