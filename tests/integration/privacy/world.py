"""A person with a recognisable text in every field that the registry names."""

from __future__ import annotations

from datetime import UTC, datetime, time
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.contenttypes.models import ContentType
from django.db import models

from directory.models import ContactPoint, Group, Subject, Suppression, User
from notifications.features.audit.sealer import seal_due
from notifications.features.privacy.registry.fields import Protection
from notifications.features.privacy.registry.registry import BY_COLUMN, PERSONAL, is_json
from notifications.infra import clock
from notifications.models import ApiKey, Category
from notifications.models.audit.actions import record_change

AT = datetime(2030, 5, 1, 11, tzinfo=UTC)
BY_HAND = {
    "directory.User", "directory.ContactPoint", "directory.SearchToken", "directory.AddressKey",
    "directory.Suppression", "directory.User_groups", "directory.User_user_permissions",
    "notifications.AuditLeaf", "notifications.AuditQueued", "notifications.ApiKey",
    "sessions.Session", "authtoken.Token", "authtoken.TokenProxy", "notifications.Erasure",
    "notifications.LegalHold", "notifications.DataExport", "notifications.DataExportPart",
    "notifications.StoredAttachment",
}  # fmt: skip
"""Tables that `everything_about` fills in its own way, or that other tests fill."""
NUMBERS = {"email": "zqmail@example.org", "phone_number": "+4915112345678", "telegram_id": "777001"}


def mark(label: str, column: str) -> str:
    """Returns the text of a field, which no other field has."""
    place = next(n for n, f in enumerate(PERSONAL) if (f.label, f.column) == (label, column))
    return f"zq{place:03d}q"


def everything_about() -> tuple[User, dict[tuple[str, str], str]]:
    """Creates a person and rows in all tables about them; returns the text of each field."""
    texts: dict[tuple[str, str], str] = {}
    user = _user(texts)
    _Rows(user, texts).make_all()
    return user, texts


def _user(texts: dict[tuple[str, str], str]) -> User:
    names = (
        "username first_name last_name external_id avatar_url subscription_tier locale timezone"
        " attributes"
    )
    values: dict[str, Any] = {n: mark("directory.User", n) for n in names.split()}
    texts |= {("directory.User", name): text for name, text in values.items()}
    texts |= {("directory.User", name): text for name, text in NUMBERS.items()}
    texts["directory.User", "sealed"] = private = mark("directory.User", "sealed")
    values |= NUMBERS | {"attributes": {"a": values["attributes"]}}
    user = User.objects.create(**values, attributes_private={"iban": private})
    reason = texts["directory.ContactPoint", "state_reason"] = mark(
        "directory.ContactPoint", "state_reason"
    )
    ContactPoint.objects.filter(user=user, kind="email").update(state_reason=reason)
    texts["directory.ContactPoint", "address"] = NUMBERS["email"]
    given = {n: mark("directory.Suppression", n) for n in ("reason", "source")}
    Suppression.objects.create(kind="email", address=NUMBERS["email"], **given)
    texts |= {("directory.Suppression", name): text for name, text in given.items()}
    return user


class _Rows:
    """Creates one row in each table, with the texts of its personal columns."""

    def __init__(self, user: User, texts: dict[tuple[str, str], str]) -> None:
        self._user = user
        self._texts = texts
        self._held: dict[str, models.Model] = {}

    def make_all(self) -> None:
        self._held["directory.Group"] = Group.objects.create(name="Readers")
        self._held["directory.Subject"] = Subject.objects.create(name="Physics")
        self._held["notifications.Category"] = Category.objects.get(key="payment")
        first = ("notifications.Notification", "notifications.NotificationMessage")
        later = dict.fromkeys(field.label for field in PERSONAL)
        for label in (*first, *(each for each in later if each not in first)):
            if label not in BY_HAND:
                self.make(label)
        self._api_key()
        self._session()
        self._audit()

    def make(self, label: str) -> models.Model:
        if label in self._held:
            return self._held[label]
        model = apps.get_model(label)
        values = {}
        for column in model._meta.concrete_fields:
            value = self._value(label, column)
            if value is not None:
                values[column.attname] = value
        row = model._default_manager.create(**values)
        self._held[label] = row
        return row

    def _value(self, label: str, column: Any) -> Any:
        target = column.related_model._meta.label if column.related_model else ""
        if column.attname in SPECIAL.get(label, {}):
            return SPECIAL[label][column.attname](self)
        if target == "directory.User" or column.attname in ("user_id", "owner_id"):
            return self._user.pk
        if target == "contenttypes.ContentType":
            return ContentType.objects.get_for_model(User).pk
        if target:
            return None if column.null else self.make(target).pk
        if (label, column.attname) in BY_COLUMN and _has_text(label, column):
            return self._text(label, column)
        return _plain(column)

    def _text(self, label: str, column: Any) -> Any:
        text = self._texts[label, column.attname] = mark(label, column.attname)
        if isinstance(column, models.GenericIPAddressField):
            text = self._texts[label, column.attname] = "203.0.113.77"
        if column.attname == "trail":
            return f'[1, "sent", "{text}"]'
        if label == "notifications.LearningDelta":
            return f'[[{self._user.pk},"{text}",1,1,1]]'
        if label == "notifications.Broadcast" and column.attname == "error_log":
            return [{"recipient_id": self._user.pk, "error": text, "timestamp": "-"}]
        if column.attname == "error_reasons":
            del self._texts[label, column.attname]  # it has the text of the recipient's error
            return {mark("notifications.BroadcastRecipient", "error"): 1}
        return {"title": text} if is_json(column) else text

    def _api_key(self) -> None:
        name = self._texts["notifications.ApiKey", "name"] = mark("notifications.ApiKey", "name")
        ApiKey.make(name=name, scopes=[], owner_id=self._user.pk)

    def _session(self) -> None:
        store = import_module(settings.SESSION_ENGINE).SessionStore()
        store[SESSION_KEY] = str(self._user.pk)
        store.save()

    def _audit(self) -> None:
        for label in ("notifications.AuditLeaf", "notifications.AuditQueued"):
            text = mark(label, "data")
            record_change(
                actor=f"user:{self._user.pk}",
                action="user.changed",
                target=f"user:{self._user.pk}",
                at=clock.now(),
                subject_id=self._user.pk,
                after={"a": text},
            )
            self._texts[label, "data"] = text
            if label.endswith("Leaf"):
                seal_due(now=clock.now())


def _has_text(label: str, column: Any) -> bool:
    if BY_COLUMN[label, column.attname].protection in (Protection.HASH, Protection.KEYED_HASH):
        return False
    is_list = isinstance(column, models.JSONField) and "[]" in BY_COLUMN[label, column.attname].keys
    binary = isinstance(column, models.BinaryField) and not is_json(column)
    texts = (models.CharField, models.TextField, models.GenericIPAddressField)
    return not is_list and not binary and (isinstance(column, texts) or is_json(column))


def _plain(column: Any) -> Any:
    """Returns a value for a column without personal data; None for its default."""
    if column.has_default() or column.null or getattr(column, "auto_now_add", False):
        return None
    if column.primary_key and isinstance(column, models.AutoField | models.BigAutoField):
        return None
    for kind, value in (
        (models.DateTimeField, AT),
        (models.TimeField, time(9)),
        (models.BooleanField, False),
        (models.IntegerField, 1),
        (models.BinaryField, b"\x00"),
        (models.JSONField, []),
    ):
        if isinstance(column, kind):
            return value
    if column.choices:
        return column.choices[0][0]
    return "x" if not column.blank else None


def _message(rows: _Rows) -> int:
    return rows.make("notifications.NotificationMessage").pk


SPECIAL: dict[str, dict[str, Any]] = {
    "notifications.Notification": {
        "id": lambda rows: None,
        "uuid": lambda rows: None,
        "address": lambda rows: None,
        "scheduled_status": lambda rows: None,
        "user_id": lambda rows: rows._user.pk,
    },
    "notifications.NotificationMessage": {
        "id": lambda rows: rows.make("notifications.Notification").pk,
        "status": lambda rows: "sent",
    },
    "notifications.InboxArrival": {
        "uuid": lambda rows: rows.make("notifications.Notification").uuid,
    },
    "notifications.RefusedSend": {"id": lambda rows: None, "uuid": lambda rows: None},
    "notifications.InboundSms": {"users": lambda rows: [rows._user.pk]},
    "notifications.IdempotencyKey": {"principal": lambda rows: f"user:{rows._user.pk}"},
    "admin.LogEntry": {
        "object_id": lambda rows: str(rows._user.pk),
        "user_id": lambda rows: User.objects.get_or_create(username="boss")[0].pk,
    },
    "notifications.BroadcastRecipient": {
        "recipient_id": lambda rows: rows._user.pk,
        "state": lambda rows: "failed",
    },
    "notifications.ScheduleSeries": {"rule": lambda rows: "FREQ=DAILY"},
    **{
        label: {"message_id": _message}
        for label in (
            "notifications.DeliveryAttempt",
            "notifications.MessageEvent",
            "notifications.LateOutcome",
            "notifications.DeadLetter",
            "notifications.SandboxMessage",
            "notifications.DigestItem",
            "notifications.TrackingEvent",
        )
    },
}
"""Columns that need a value of their own. Where it returns None, the model sets the value."""
