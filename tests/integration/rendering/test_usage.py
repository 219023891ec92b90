"""The use of templates: counted in memory, written in sets, read by day and as sums."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from notifications.domain.callers import SYSTEM
from notifications.features.templates.service import TemplateService
from notifications.features.templates.usage import TemplateUsageService
from notifications.models import NotificationTemplate, TemplateUsage
from notifications.rendering.usage import write_usage
from tests.integration.api.test_idempotency import in_threads
from tests.integration.factories import make_template, make_user
from tests.integration.preferences.conftest import send, work
from tests.pace import pace

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]
service = TemplateUsageService()


def counts(row: NotificationTemplate, **more: Any) -> list[tuple[int, str, str, int]]:
    found = service.usage(identifier=row.pk, caller=SYSTEM, **more).results
    return [(each.version, each.channel, each.locale, each.count) for each in found]


def test_messages_are_counted_by_version_channel_and_language_of_the_text() -> None:
    row = make_template(translations={"ru": {"in_app_template": "{{ amount }}"}})
    readers = [make_user(locale=locale) for locale in ("en_GB", "ru_KZ", "de")]
    for reader in readers:
        send(reader)
    send(readers[1], channel="in_app")
    work()

    assert write_usage() == 4
    assert sorted(counts(row)) == [(1, "email", "en", 3), (1, "in_app", "ru", 1)]
    assert write_usage() == 0


def test_counts_add_up_over_writes_and_versions(frozen: Any) -> None:
    row, reader = make_template(), make_user()
    for _ in range(2):
        send(reader)
        work()
        write_usage()
    row.email_subject_template = "New {{ amount }}"
    row.save()
    send(reader)
    work()
    write_usage()
    frozen.now += timedelta(days=1)
    send(reader)
    work()
    write_usage()

    assert counts(row) == [(2, "email", "en", 1), (2, "email", "en", 1), (1, "email", "en", 2)]
    assert service.usage(identifier=row.pk, caller=SYSTEM).total == 4
    assert service.usage(identifier=row.pk, caller=SYSTEM, days=1).total == 1
    page = service.usage(identifier=row.pk, caller=SYSTEM, limit=2)
    assert counts(row, after=page.results[-1].id) == [(1, "email", "en", 2)]


def test_many_messages_cost_one_statement() -> None:
    make_template()
    reader = make_user()
    for _ in range(20):
        send(reader)
    work()

    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert write_usage() == 20

    assert [q["sql"][:11] for q in queries if "SAVEPOINT" not in q["sql"]] == ["INSERT INTO"]


def test_counts_that_cannot_be_written_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    row = make_template()
    send(make_user())
    work()

    def broken(counts: Any) -> None:
        raise DatabaseError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(TemplateUsage.objects, "add", broken)
        with pytest.raises(DatabaseError):
            write_usage()

    assert write_usage() == 1
    assert counts(row) == [(1, "email", "en", 1)]


def test_a_message_whose_template_fails_is_not_counted(frozen: Any) -> None:
    row = make_template(email_body_template="{{ 1 / (current_time.year - 2031) }}")
    send(make_user())
    frozen.now += timedelta(days=365)
    work()

    assert write_usage() == 0
    assert counts(row) == []


def test_the_most_used_come_first() -> None:
    make_template()
    make_template("other.one")
    reader = make_user()
    send(reader)
    for _ in range(2):
        send(reader, template_path="other.one")
    work()
    write_usage()

    sums = service.most_used(caller=SYSTEM)
    assert [(each.path, each.count) for each in sums] == [("other.one", 2), ("test.hello", 1)]
    assert [each.path for each in service.most_used(caller=SYSTEM, path="test.")] == ["test.hello"]


def test_the_counts_of_a_deleted_template_are_deleted() -> None:
    row = make_template()
    version = row.current_version_id
    assert version is not None
    TemplateUsage.objects.create(
        version_id=version, channel="sms", locale="en", day="2030-05-01", count=3
    )

    assert TemplateService().delete(identifier=row.pk, caller=SYSTEM) is True
    assert not TemplateUsage.objects.exists()


class TestExamples:
    def test_a_template_has_an_example_of_its_own(self) -> None:
        templates = TemplateService()
        made = templates.create(
            body={
                "name": "T",
                "path": "test.t",
                "push_template": "{{ user.first_name }} {{ user.last_name }} {{ amount }} {{ n }}",
                "example_context": {"amount": 5, "n": 1, "user": {"first_name": "Ada"}},
                "required_variables": ["amount"],
            },
            caller=SYSTEM,
        )

        shown = templates.preview(identifier=made.id, body={"context": {"n": 2}}, caller=SYSTEM)

        assert made.example_context["amount"] == 5
        assert shown.previews[0].body == "Ada Example 5 2"
        assert shown.missing_variables == []

    def test_an_example_does_not_change_the_published_version(self) -> None:
        templates = TemplateService()
        row = make_template()

        changed = templates.update(
            identifier=row.pk, body={"example_context": {"amount": 1}}, caller=SYSTEM
        )

        assert (changed.status, changed.version) == ("published", 1)

    @pytest.mark.parametrize(
        ("example", "place", "code"),
        [
            ([], "example_context", "wrong_type"),
            ({"user": 1}, "example_context.user", "wrong_type"),
            ({"a": "x" * 64_000}, "example_context", "too_large"),
        ],
    )
    def test_an_invalid_example_is_reported(self, example: Any, place: str, code: str) -> None:
        response = TemplateService().validate(
            body={"push_template": "x", "example_context": example}, caller=SYSTEM
        )

        assert [(each.path, each.code) for each in response.errors] == [(place, code)]


@pytest.mark.django_db(transaction=True)
def test_a_locked_row_does_not_delay_counting_and_loses_no_count() -> None:
    """A vanished host may still lock the row, or the whole database on SQLite."""
    make_template()
    reader = make_user()
    send(reader)
    work()
    write_usage()
    send(reader)
    work()
    with transaction.atomic():
        TemplateUsage.objects.update(count=F("count"))
        (waited_s,) = in_threads(_seconds_of_a_refused_write)
    assert waited_s < 2 * pace()
    assert write_usage() == 1


def _seconds_of_a_refused_write() -> float:
    began = time.monotonic()
    with pytest.raises(OperationalError):
        write_usage()
    return time.monotonic() - began
