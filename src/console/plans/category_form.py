"""The form of a category: its fields as texts, as the body that the API takes, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from console.casting.draft import CHOICES, LONGEST, choice_text, number_or_text
from console.casting.seen import digest_of
from console.guard import Visit
from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.preferences import switch_name
from notifications.models import Category

MOST_CAPS = 10
UNITS: Mapping[str, int] = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
"""The units of the time of a cap, the longest first, in seconds."""
_STORED = (
    "name",
    "legal_basis",
    "marketing",
    "crash_policy",
    "default_preferences",
    "caps",
    "unsubscribable",
    "trackable",
    "retention_days",
)
_FLAGS = ("marketing", "unsubscribable", "trackable")
_TEXTS: Mapping[str, str] = {
    "key": "",
    "name": "",
    "legal_basis": "contract",
    "crash_policy": "resend",
    "retention_days": "",
    "digest_frequency": "",
}
"""The fields with one text, and what a new form has."""


class CapRow(NamedTuple):
    """The most messages in a time."""

    limit: str = ""
    window: str = ""
    unit: str = "days"
    channel: str = ""

    @property
    def is_written(self) -> bool:
        """Whether it says anything that a blank row does not."""
        return bool(self.limit or self.window)

    @property
    def text(self) -> str:
        """The row in one line."""
        return f"{self.limit} / {self.window} {self.unit} {self.channel}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryForm:
    """The fields of the form, as texts."""

    texts: Mapping[str, str]
    flags: Mapping[str, bool]
    #: By channel: yes, no, or empty for the default of the service.
    switches: Mapping[str, str]
    caps: Sequence[CapRow] = ()

    def body(self, *, creating: bool) -> dict[str, Any]:
        """Returns the body that the service takes, and checks."""
        texts = self.texts
        days = texts["retention_days"]
        found = {
            "name": texts["name"],
            "legal_basis": texts["legal_basis"],
            "crash_policy": texts["crash_policy"],
            **self.flags,
            "default_preferences": self._preferences(),
            "caps": [_cap(row) for row in self.caps],
            "retention_days": number_or_text(days) if days else None,
        }
        return {"key": texts["key"], **found} if creating else found

    def _preferences(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            switch_name(channel): CHOICES[value]
            for channel, value in self.switches.items()
            if CHOICES.get(value) is not None
        }
        if digest := self.texts["digest_frequency"]:
            found["digest_frequency"] = digest
        return found

    def with_blank_cap(self) -> list[CapRow]:
        """Returns the caps with a row to be filled."""
        return [*self.caps, CapRow()] if len(self.caps) < MOST_CAPS else list(self.caps)

    def shown(self) -> dict[str, str]:
        """Returns each field as one text."""
        flags = {name: choice_text(value) for name, value in self.flags.items()}
        caps = ", ".join(row.text for row in self.caps)
        return {**self.texts, **flags, **self.switches, "caps": caps}


def _cap(row: CapRow) -> dict[str, Any]:
    window = number_or_text(row.window)
    seconds = window * UNITS.get(row.unit, 1) if isinstance(window, int) else window
    return {"limit": number_or_text(row.limit), "window_s": seconds, "channel": row.channel}


def new_category_form() -> CategoryForm:
    """Returns the form of a category that does not exist yet."""
    flags = {"marketing": False, "unsubscribable": True, "trackable": True}
    switches = {str(each): "" for each in PERSON_CHANNELS}
    return CategoryForm(texts=dict(_TEXTS), flags=flags, switches=switches)


def read_category_form(visit: Visit) -> CategoryForm:
    """Returns what the visitor wrote."""
    form = visit.request.POST
    columns = [form.getlist(f"cap_{name}") for name in CapRow._fields]
    rows = [CapRow(*(each.strip() for each in row)) for row in zip(*columns)]  # noqa: B905 -- a form that lacks fields has fewer rows
    return CategoryForm(
        texts={name: visit.given(name, longest=LONGEST) for name in _TEXTS},
        flags={name: bool(visit.given(name)) for name in _FLAGS},
        switches={str(each): visit.given(f"switch_{each}") for each in PERSON_CHANNELS},
        caps=[row for row in rows if row.is_written],
    )


def form_of_category(_visit: Visit, row: Category) -> CategoryForm:
    """Returns the form that says what a category is."""
    preferences = row.default_preferences
    return CategoryForm(
        texts={
            "key": row.key,
            "name": row.name,
            "legal_basis": row.legal_basis,
            "crash_policy": row.crash_policy,
            "retention_days": str(row.retention_days or ""),
            "digest_frequency": str(preferences.get("digest_frequency", "")),
        },
        flags={name: bool(getattr(row, name)) for name in _FLAGS},
        switches={
            str(each): choice_text(preferences.get(switch_name(each))) for each in PERSON_CHANNELS
        },
        caps=[_cap_row(cap) for cap in row.caps or ()],
    )


def _cap_row(cap: Mapping[str, Any]) -> CapRow:
    seconds = cap["window_s"]
    unit = next(name for name, size in UNITS.items() if seconds % size == 0)
    return CapRow(str(cap["limit"]), str(seconds // UNITS[unit]), unit, cap.get("channel", ""))


def seen_of_category(row: Category) -> str:
    """Returns a digest of what an administrator writes of a category."""
    return digest_of([getattr(row, name) for name in _STORED])


def category_beside(typed: CategoryForm, stored: CategoryForm) -> list[tuple[str, str]]:
    """Returns the fields that are stored otherwise than typed, with what is stored."""
    before = typed.shown()
    found = [(name, value) for name, value in stored.shown().items() if value != before[name]]
    return [each for each in found if each[0] != "key"]
