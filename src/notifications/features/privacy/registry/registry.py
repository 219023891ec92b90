"""The registry: all fields with personal data, and which columns have to be in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.db import models

from notifications.features.privacy.registry.broadcasts import BROADCASTS
from notifications.features.privacy.registry.fields import PersonalField
from notifications.features.privacy.registry.messages import MESSAGES
from notifications.features.privacy.registry.people import DIRECTORY, RECORDS
from notifications.features.privacy.registry.sign_in import SIGN_IN

PERSONAL: tuple[PersonalField, ...] = (*DIRECTORY, *RECORDS, *SIGN_IN, *MESSAGES, *BROADCASTS)
BY_COLUMN = {(field.label, field.column): field for field in PERSONAL}
_NUMBERS = frozenset({"user_id", "subject_id", "owner_id", "person"})
_TEXTS = (
    models.CharField,
    models.TextField,
    models.JSONField,
    models.BinaryField,
    models.GenericIPAddressField,
)


def columns_to_name() -> Iterable[tuple[str, Any]]:
    """Yields the label and the column of each field that may hold personal data.

    These are texts, JSON, bytes, IP addresses and the numbers of people, of all tables. A text with
    a list of choices holds none.
    """
    for model in apps.get_models(include_auto_created=True):
        for column in model._meta.concrete_fields:
            of_person = column.attname in _NUMBERS or _is_person(column)
            if of_person or (isinstance(column, _TEXTS) and not column.choices):
                yield model._meta.label, column


def is_json(column: Any) -> bool:
    """Whether a column holds JSON, readable or sealed."""
    return isinstance(column, models.JSONField) or type(column).__name__ == "SealedJSONField"


def _is_person(column: Any) -> bool:
    target = getattr(column, "related_model", None)
    return target is not None and target._meta.label == "directory.User"
