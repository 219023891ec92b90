"""Fills a database with the code of an older release; that release's own Python runs this file.

Usage: python oldrows.py PEOPLE MESSAGES. It migrates the database, creates people with addresses,
and inserts messages of the past. Every tenth message failed, with an error text that repeats the
address. Every hundredth was sent to an address without a user.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402 -- Django first
from django.db import transaction  # noqa: E402

from directory.models import ContactPoint, Device, User  # noqa: E402
from notifications.domain.identifiers import public_id  # noqa: E402
from notifications.infra import clock  # noqa: E402
from notifications.infra.crypto import seal_json  # noqa: E402
from notifications.models import Category, DeadLetter, reserve_keys  # noqa: E402
from notifications.models.delivery.hot import MESSAGES, NOTIFICATIONS, hot  # noqa: E402

_AT_ONCE = 5_000
_DAYS = 5
_FAILED, _WITHOUT_USER = 10, 100
_ATTEMPTS = "notifications_deliveryattempt"
# The columns are those of the older release: its modules had other names.
_NOTIFICATION_COLUMNS = (
    "id", "uuid", "user_id", "address", "category_id", "template_version_id", "job_id", "type",
    "priority", "source", "locale", "text", "context", "options", "scheduled_at",
    "scheduled_status", "expires_at", "collapse_key", "ordering_key", "idempotency_key",
    "correlation_id", "is_test", "created_at",
)  # fmt: skip
_MESSAGE_COLUMNS = (
    "id", "notification_id", "user_id", "channel", "priority", "status", "batch_id",
    "scheduled_at", "attempts", "max_attempts",
)  # fmt: skip
_ATTEMPT_COLUMNS = (
    "message_id", "number", "provider", "verdict", "error_code", "error", "provider_message_id",
    "response", "duration_ms", "at",
)  # fmt: skip


def fill_people(count: int) -> list[int]:
    """Creates people with a name, an email address and a phone number; returns their ids."""
    ids: list[int] = []
    for start in range(0, count, _AT_ONCE):
        with transaction.atomic():
            made = User.objects.bulk_create(
                User(
                    username=f"old{n}",
                    email=f"old{n}@secret.test",
                    first_name=f"Olga{n}",
                    last_name="Oldrow",
                    phone_number=f"+4915{n:09d}",
                    password="!",
                )
                for n in range(start, min(start + _AT_ONCE, count))
            )
            ContactPoint.objects.bulk_create(
                ContactPoint(user=user, kind=kind, address=address)
                for user in made
                for kind, address in (("email", user.email), ("phone", user.phone_number))
            )
            Device.objects.bulk_create(
                Device(user=user, token=f"secret-token-{user.pk}") for user in made[::2]
            )
        ids += [user.pk for user in made]
    return ids


def fill_messages(people: list[int], count: int) -> None:
    """Inserts messages of some days ago, with notifications, attempts and dead letters."""
    at = clock.now() - timedelta(days=_DAYS)
    category = Category.objects.get(key="payment").pk
    for start in range(0, count, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, count))
        with transaction.atomic():
            _insert(
                list(zip(reserve_keys(len(numbers)), numbers, strict=True)), people, at, category
            )


def _insert(rows: list[tuple[int, int]], people: list[int], at: Any, category: int) -> None:
    moment, ms = hot().time_value(at), clock.epoch_ms(at)
    rest = (None, None, None, None, None, None, False, moment)
    notifications, messages, attempts, letters = [], [], [], []
    for key, n in rows:
        user = None if n % _WITHOUT_USER == 0 else people[n % len(people)]
        mail = f"old{n % len(people)}@secret.test" if user else f"stranger{n}@secret.test"
        failed = n % _FAILED == 1
        error = f"550 5.1.1 <{mail}>: Olga{n % len(people)} is unknown" if failed else ""
        head = (key, public_id(key, ms, 0).hex, user, None if user else seal_json({"email": mail}))
        context = seal_json({"amount": n, "note": "secret roses"})
        middle = (category, None, None, "payment", 3, "bench", "", None, context, None, moment)
        notifications.append((*head, *middle, *rest))
        state = "failed" if failed else "delivered"
        content = seal_json({"title": "Secret", "body": f"secret {mail}", "data": {}})
        trail = f'[{ms}, "{state}", "smtp_550"]'
        messages.append(
            (key, key, user, "email", 3, state, None, moment, 1, 3, content, trail, error or None)
        )
        response = seal_json({"raw": f"secret {mail}"})
        verdict = "failed" if failed else "sent"
        attempts.append(
            (key, 1, "smtp", verdict, "smtp_550" * failed, error, f"<{key}@b>", response, 9, moment)
        )
        if failed:
            letters.append(
                DeadLetter(
                    message_id=key, notification_id=key, channel="email", code="smtp_550",
                    last_error=error, last_result={"error": error}, attempts=1, failed_at=at,
                    resolution="discarded", resolved_at=at,
                )
            )  # fmt: skip
    hot().insert_rows(NOTIFICATIONS, _NOTIFICATION_COLUMNS, notifications)
    hot().insert_rows(MESSAGES, (*_MESSAGE_COLUMNS, "content", "trail", "last_error"), messages)
    hot().insert_rows(_ATTEMPTS, _ATTEMPT_COLUMNS, attempts)
    DeadLetter.objects.bulk_create(letters)


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    fill_messages(fill_people(int(sys.argv[1])), int(sys.argv[2]))
    print(json.dumps({"people": int(sys.argv[1]), "messages": int(sys.argv[2])}))
