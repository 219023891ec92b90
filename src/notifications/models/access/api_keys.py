"""API keys, and the responses that an Idempotency-Key replays."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import connection, models
from django.db.models import Q

from notifications.infra.crypto import seal_json, secret_hash
from notifications.models.fields import EMPTY_LIST, SealedJSONField

_KEY_OF_PREFIX = "SELECT * FROM notifications_apikey WHERE prefix = %s OR previous_prefix = %s"
_CLAIM = (
    "INSERT INTO notifications_idempotencykey"
    " (principal, method, route, key, body_hash, created_at) VALUES (%s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (principal, method, route, key) DO NOTHING RETURNING id"
)
_IF_NEW = "ON CONFLICT (principal, method, route, key) DO NOTHING RETURNING id"
_STORED = (
    "SELECT principal, method, route, key FROM notifications_idempotencykey"
    " WHERE (principal, method, route, key) IN"
)
_STORE_MANY = (
    "INSERT INTO notifications_idempotencykey"
    " (principal, method, route, key, body_hash, created_at, status_code, answer) VALUES"
)
_STORE = "UPDATE notifications_idempotencykey SET status_code = %s, answer = %s WHERE id = %s"


class ApiKeyManager(models.Manager["ApiKey"]):
    """Looks up the key of every request."""

    def of_prefix(self, prefix: str) -> ApiKey | None:
        """Returns the key one of whose texts has this prefix.

        Plain SQL: Django would need more time to compile the query (0.2 ms) than the database needs
        to run it.
        """
        return next(iter(self.raw(_KEY_OF_PREFIX, [prefix, prefix])), None)


class ApiKey(models.Model):
    """A service's key: `ck_live_<prefix>_<secret>`, stored as a hash and shown once."""

    class Kind(models.TextChoices):
        LIVE = "live", "Live"
        TEST = "test", "Test: every provider call ends in the sandbox"

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True)
    key_hash = models.CharField(max_length=64)
    kind = models.CharField(max_length=4, choices=Kind.choices, default=Kind.LIVE)
    scopes = models.JSONField(default=list)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="api_keys"
    )
    holders = models.JSONField(default=list, db_default=EMPTY_LIST)
    """The ids of all users who were ever shown a text of the key: any of them may use it."""
    addresses = models.JSONField(default=list, db_default=EMPTY_LIST)
    """The networks from which it may be used, such as `192.0.2.0/24`; empty for all."""
    created_at = models.DateTimeField(auto_now_add=True)
    #: When its present text was last used, to the minute.
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    previous_prefix = models.CharField(max_length=16, unique=True, null=True)
    previous_hash = models.CharField(max_length=64, blank=True, default="", db_default="")
    #: Until when the text before the present one is accepted, too.
    previous_until = models.DateTimeField(null=True)
    #: When the text before the present one was last used, to the minute.
    previous_used_at = models.DateTimeField(null=True)

    objects: ClassVar[ApiKeyManager] = ApiKeyManager()

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    @classmethod
    def make(
        cls,
        *,
        name: str,
        scopes: list[str],
        kind: str = Kind.LIVE,
        owner_id: int | None = None,
        addresses: Sequence[str] = (),
    ) -> tuple[ApiKey, str]:
        """Creates a key; returns it with its text, which is not stored."""
        holders = [] if owner_id is None else [owner_id]
        key = cls(name=name, kind=kind, scopes=scopes, owner_id=owner_id, holders=holders)
        key.addresses = list(addresses)
        return key, key.renew()

    def accepts_previous(self, now: datetime) -> bool:
        """Returns whether the text before the present one is accepted at a time."""
        return self.previous_until is not None and now < self.previous_until

    def record_use(self, now: datetime, *, step: timedelta, is_previous: bool) -> None:
        """Writes when a text of the key was used, unless it was used within `step` before."""
        name = "previous_used_at" if is_previous else "last_used_at"
        used_at: datetime | None = getattr(self, name)
        if used_at is not None and now - used_at < step:
            return
        stale = Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__lte": now - step})
        type(self).objects.filter(stale, pk=self.pk).update(**{name: now})

    def renew(self, *, until: datetime | None = None) -> str:
        """Gives the key a new text and saves it.

        until: until when the old text is accepted, too; without it, it is refused from now on. A
        text that is older still is always refused.
        """
        held = until is not None
        self.previous_prefix, self.previous_hash = (
            (self.prefix, self.key_hash) if held else (None, "")
        )
        self.previous_until = until
        self.previous_used_at, self.last_used_at = (self.last_used_at if held else None), None
        self.prefix = secrets.token_hex(6)
        text = f"ck_{self.kind}_{self.prefix}_{secrets.token_urlsafe(32)}"
        self.key_hash = secret_hash(text)
        self.save()
        return text


class IdempotencyKeyManager(models.Manager["IdempotencyKey"]):
    """The statements of requests with a key; both databases use the same."""

    def claim(self, *, scope: Sequence[str], body_hash: str, at: datetime) -> int | None:
        """Inserts the row of a scope (principal, method, route, key); None when it exists already.

        Waits for the uncommitted row of a duplicate.
        """
        moment = connection.ops.adapt_datetimefield_value(at)
        with connection.cursor() as cursor:
            cursor.execute(_CLAIM, [*scope, body_hash, moment])
            row = cursor.fetchone()
        return row[0] if row else None

    def store_response(self, key: int, *, status: int, response: object) -> None:
        """Stores the response, sealed."""
        with connection.cursor() as cursor:
            cursor.execute(_STORE, [status, seal_json(response), key])

    def stored(self, scopes: Iterable[Sequence[str]]) -> set[tuple[str, str, str, str]]:
        """Returns those of the scopes that have a row."""
        wanted = list(scopes)
        marks = ", ".join(["(%s, %s, %s, %s)"] * len(wanted))
        with connection.cursor() as cursor:
            cursor.execute(
                f"{_STORED} ({'VALUES ' * (connection.vendor == 'sqlite')}{marks})",
                [value for scope in wanted for value in scope],
            )
            return {(row[0], row[1], row[2], row[3]) for row in cursor.fetchall()}

    def store_many(
        self,
        rows: Sequence[tuple[str, str, str, str, str, object]],
        *,
        status: int,
        at: datetime,
    ) -> int:
        """Inserts rows of scope, body hash and response; returns how many scopes had none."""
        moment = connection.ops.adapt_datetimefield_value(at)
        values = [
            value
            for *scope, body_hash, response in rows
            for value in (*scope, body_hash, moment, status, seal_json(response))
        ]
        marks = ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s)"] * len(rows))
        with connection.cursor() as cursor:
            cursor.execute(f"{_STORE_MANY} {marks} {_IF_NEW}", values)
            return len(cursor.fetchall())


class IdempotencyKey(models.Model):
    """A key that a caller sent, and the stored response. Written in the transaction of the work."""

    principal = models.CharField(max_length=60)
    method = models.CharField(max_length=7)
    route = models.CharField(max_length=100)
    key = models.CharField(max_length=200)
    body_hash = models.CharField(max_length=64)
    status_code = models.SmallIntegerField(null=True)
    answer = SealedJSONField(null=True)
    created_at = models.DateTimeField(db_index=True)

    objects: ClassVar[IdempotencyKeyManager] = IdempotencyKeyManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["principal", "method", "route", "key"], name="idempotency_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.route} {self.key}"
