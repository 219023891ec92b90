"""The documented rows of broadcasts."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import translation

from notifications import models as notifications_models
from notifications.domain.broadcast_lifecycle import TRANSITIONS, BroadcastStatus, RecipientState
from notifications.models import Broadcast, BroadcastRecipient, change_broadcast_status
from tests.integration.factories import delete_row, make_user

LOCALE = Path(notifications_models.__file__).parents[1] / "locale"


def make_broadcast(**values: object) -> Broadcast:
    values.setdefault("target_group", "all_students")
    values.setdefault("message", "Important announcement")
    return Broadcast.objects.create(**values)


@pytest.mark.django_db
class TestRows:
    def test_a_broadcast_begins_as_a_draft_for_telegram(self):
        made = make_broadcast(created_by=make_user())
        made.refresh_from_db()
        assert (made.status, made.channels, made.category) == (
            "draft",
            ["telegram"],
            "announcement",
        )
        assert (made.target_filter, made.error_log) == ({}, [])
        assert (made.recipient_count, made.sent_count, made.failed_count) == (0, 0, 0)
        assert (made.scheduled_at, made.sent_at, made.completed_at) == (None, None, None)
        assert made.source == f"broadcast:{made.pk}"
        assert made.tally.is_consistent

    def test_a_message_may_have_a_thousand_characters(self):
        made = make_broadcast(created_by=make_user(), message="x" * 1_000)
        made.clean_fields()
        made.message += "x"
        with pytest.raises(ValidationError) as caught:
            made.clean_fields()
        assert list(caught.value.message_dict) == ["message"]

    def test_a_recipient_is_in_a_broadcast_once(self):
        made, person = make_broadcast(), make_user()
        first = BroadcastRecipient.objects.create(broadcast=made, recipient=person)
        assert (first.state, first.telegram_sent, first.retries) == ("pending", False, 0)
        with pytest.raises(IntegrityError), transaction.atomic():
            BroadcastRecipient.objects.create(broadcast=made, recipient=person)

    def test_a_broadcast_outlives_its_author(self):
        author = make_user()
        made = make_broadcast(created_by=author)
        delete_row(author.pk)
        made.refresh_from_db()
        assert made.created_by is None

    @pytest.mark.parametrize("current", BroadcastStatus)
    @pytest.mark.parametrize("target", BroadcastStatus)
    def test_a_status_is_written_where_the_table_allows_it(self, current, target):
        made = make_broadcast(status=current.value)
        allowed = target in TRANSITIONS[current]
        assert change_broadcast_status(made.pk, target, values={"title": "moved"}) is allowed
        made.refresh_from_db()
        expected = (target.value, "moved") if allowed else (current.value, "")
        assert (made.status, made.title) == expected


def test_the_documented_indexes_exist():
    assert [index.fields for index in Broadcast._meta.indexes] == [
        ["created_by", "-created_at"],
        ["status", "scheduled_at"],
        ["-created_at", "-id"],  # for the list of broadcasts
        ["target_group", "-created_at", "-id"],  # for the list of one group
        ["list_id", "-id"],  # for the archive of a mailing list
        ["id"],  # for broadcasts whose source is stopped
    ]
    assert [index.fields for index in BroadcastRecipient._meta.indexes] == [
        ["broadcast", "telegram_sent"],
        ["recipient", "broadcast"],
        ["broadcast", "state", "recipient"],  # for recipients of one state
    ]
    # Each that begins with the broadcast holds few of its rows, so that no plan takes it for the
    # way to one of them (see the model).
    whole = [index for index in BroadcastRecipient._meta.indexes if index.condition is None]
    assert [index.fields for index in whole] == [["recipient", "broadcast"]]
    assert [each.fields for each in BroadcastRecipient._meta.constraints] == [
        ("broadcast", "recipient")
    ]


def test_choices_are_the_states_of_the_lifecycle():
    assert Broadcast.Status.values == [status.value for status in BroadcastStatus]
    field = BroadcastRecipient._meta.get_field("state")
    assert [value for value, _ in field.choices] == [state.value for state in RecipientState]


def test_choices_have_english_and_documented_russian_labels():
    made = Broadcast(target_group="all_students", status="sending")
    assert (made.get_target_group_display(), made.get_status_display()) == (
        "All students",
        "Sending",
    )
    with translation.override("ru"):
        assert (made.get_target_group_display(), made.get_status_display()) == (
            "Все студенты",  # noqa: RUF001 -- Russian
            "Отправляется",
        )
        completed = Broadcast(status="completed")
        assert completed.get_status_display() == "Завершена"
        label = Broadcast._meta.get_field("error_log").verbose_name
        assert str(label) == "Лог ошибок при отправке"
        choices = [*Broadcast.TargetGroup.choices, *Broadcast.Status.choices]
        untranslated = [str(label) for _, label in choices if str(label).isascii()]
        assert untranslated == []


def test_the_compiled_catalog_equals_its_source():
    """After a change: `pybabel compile -D django -d src/notifications/locale`."""
    folder = LOCALE / "ru" / "LC_MESSAGES"
    compiled = BytesIO()
    with (folder / "django.po").open("rb") as text:
        write_mo(compiled, read_po(text, locale="ru"))
    compiled.seek(0)
    with (folder / "django.mo").open("rb") as shipped:
        expected, found = read_mo(compiled), read_mo(shipped)
    assert [(m.context, m.id, m.string) for m in found if m.id] == [
        (m.context, m.id, m.string) for m in expected if m.id
    ]
