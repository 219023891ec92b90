"""Reads and checks the body of a request that writes a category."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.limits import LONGEST_S, MOST
from notifications.domain.preferences import SWITCHES, DigestFrequency
from notifications.infra.field_types import CategoryKey, NextPage, PreviousPage, choice
from notifications.intake.fields import Fields
from notifications.intake.limits import read_number
from notifications.models import CrashPolicy, LegalBasis

_KEY = re.compile(r"[a-z0-9]([a-z0-9_-]{0,48}[a-z0-9])?")
_MOST_CAPS = 10
_LONGEST_RETENTION = 36_500


LegalBasisName = Annotated[
    str,
    choice("LegalBasis", LegalBasis.values, "The legal basis of sending (article 6 of the GDPR)."),
]
CrashPolicyName = Annotated[
    str,
    choice(
        "CrashPolicy",
        CrashPolicy.values,
        "What happens to uncertain messages. `resend`: they are sent again, at least once."
        " `hold`: they wait for a person's decision, at most once.",
    ),
]
DefaultPreferences = Annotated[
    dict[str, bool | str],
    Meta(
        description="The switches of channels and the digest for users who chose nothing.",
        examples=[{"sms_enabled": True, "digest_frequency": "daily"}],
    ),
]


class Cap(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The most messages of a category to a user in a time, on one channel or on all."""

    limit: int
    """The most messages, from 1 to 1,000. Example: `3`"""

    window_s: int
    """The length of the window that is counted back from now, in seconds. Example: `86400`"""

    channel: Annotated[
        str,
        choice("CapChannel", (*PERSON_CHANNELS, ""), "The channel; empty for all together."),
    ] = ""


class CategoryBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A category. In a change, a field that is left out stays as it is."""

    key: str | UnsetType = UNSET
    """The unique key: lower-case letters, digits, `-` and `_`. It never changes.
    Example: `course`"""

    name: str | UnsetType = UNSET
    """The name that users see, up to 100 characters. Example: `Courses`"""

    legal_basis: LegalBasisName | UnsetType = UNSET
    """The legal basis of sending (article 6 of the GDPR); `contract` for a new category."""

    marketing: bool | UnsetType = UNSET
    """Whether it is marketing, which needs the user's own choice; false for a new category."""

    crash_policy: CrashPolicyName | UnsetType = UNSET
    """What happens to uncertain messages: `resend` (at least once) or `hold` (at most once).
    `resend` for a new category."""

    default_preferences: DefaultPreferences = {}

    caps: list[Cap] = []
    """The frequency caps of the category, at most 10."""

    unsubscribable: bool | UnsetType = UNSET
    """Whether emails offer to unsubscribe; true for a new category. Those of a legal
    obligation never do."""

    trackable: bool | UnsetType = UNSET
    """Whether opens and clicks of its emails may be tracked; true for a new category. Emails with
    links that sign in should not be."""

    retention_days: int | None = None
    """For how many days its notifications are stored, up to 36,500; null for the service's own.
    Example: `90`"""


class CategoryResponse(msgspec.Struct, kw_only=True):
    """A category."""

    id: int
    """The integer id of the category. Example: `3`"""

    key: CategoryKey

    name: str
    """The name that users see. Example: `Courses`"""

    legal_basis: LegalBasisName

    marketing: bool
    """Whether it is marketing, which needs the user's own choice."""

    crash_policy: CrashPolicyName
    default_preferences: DefaultPreferences

    caps: list[Cap]
    """The frequency caps of the category."""

    unsubscribable: bool
    """Whether emails offer to unsubscribe."""

    trackable: bool
    """Whether opens and clicks of its emails may be tracked."""

    retention_days: int | None
    """For how many days its notifications are stored; null for the service's own. Example: `90`"""


class CategoryList(msgspec.Struct, kw_only=True):
    """A page of categories, the oldest first."""

    results: list[CategoryResponse]
    """The categories of this page."""

    next: NextPage = None
    previous: PreviousPage = None


def read_category(body: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
    """Returns the model's values for the fields that the body names.

    Raises:
        InvalidRequest: with the error of every field.
    """
    fields = Fields(body)
    fields.refuse_unknown(CategoryBody.__struct_fields__)
    values: dict[str, Any] = {}
    if creating:
        values["key"] = _key(fields)
    elif "key" in body:
        fields.add_error(
            "key", "key_immutable", "the key of a category cannot change: create a new category"
        )
    if "name" in body:
        values["name"] = fields.text("name", longest=100) or ""
    flags = (("marketing", False), ("unsubscribable", True), ("trackable", True))
    values |= {name: fields.flag(name, default) for name, default in flags if name in body}
    for name, choices in (("legal_basis", LegalBasis), ("crash_policy", CrashPolicy)):
        if name in body:
            values[name] = _choice(fields, name, choices.values)
    if "default_preferences" in body:
        values["default_preferences"] = _preferences(fields)
    if "caps" in body:
        values["caps"] = _caps(fields)
    if "retention_days" in body:
        values["retention_days"] = read_number(fields, "retention_days", highest=_LONGEST_RETENTION)
    fields.raise_errors()
    return values


def _key(fields: Fields) -> str:
    key = fields.text("key", required=True, longest=50) or ""
    if key and not _KEY.fullmatch(key):
        fields.add_error(
            "key", "invalid", "must be lower-case letters, digits, - and _, e.g. course"
        )
    return key


def _choice(fields: Fields, name: str, choices: Sequence[str]) -> str:
    value = fields.text(name, required=True) or ""
    if value and value not in choices:
        fields.add_error(name, "invalid_choice", f"must be one of {', '.join(choices)}")
    return value


def _preferences(fields: Fields) -> dict[str, bool | str]:
    given = fields.mapping("default_preferences")
    inner = Fields(given, path="default_preferences.")
    inner.refuse_unknown((*SWITCHES, "digest_frequency"))
    found: dict[str, bool | str] = {
        name: inner.flag(name, False) for name in SWITCHES if name in given
    }
    if "digest_frequency" in given:
        found["digest_frequency"] = _choice(inner, "digest_frequency", list(DigestFrequency))
    fields.errors += inner.errors
    return found


def _caps(fields: Fields) -> list[dict[str, Any]]:
    rows = fields.items("caps") or []
    if len(rows) > _MOST_CAPS:
        fields.add_error("caps", "invalid", f"must hold at most {_MOST_CAPS} caps")
        return []
    return [_cap(fields, place, row) for place, row in enumerate(rows)]


def _cap(fields: Fields, place: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        fields.add_error(f"caps[{place}]", "wrong_type", "must be an object: {limit, window_s}")
        return {}
    inner = Fields(row, path=f"caps[{place}].")
    inner.refuse_unknown(Cap.__struct_fields__)
    cap: dict[str, Any] = {
        "limit": read_number(inner, "limit", highest=MOST, required=True),
        "window_s": read_number(inner, "window_s", highest=LONGEST_S, required=True),
    }
    channel = row.get("channel") or ""
    if channel:
        cap["channel"] = _choice(inner, "channel", [str(each) for each in PERSON_CHANNELS])
    fields.errors += inner.errors
    return cap
