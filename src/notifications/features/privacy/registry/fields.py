"""What the registry says of a field, and the terms that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Protection(StrEnum):
    """How a field is protected in the database."""

    PERSON_KEY = "sealed under the key of the person"
    ADDRESS_KEY = "sealed under the key of the address"
    JOB_KEY = "sealed under the key of the bulk call"
    SERVICE_KEY = "sealed under the service's own key"
    KEYED_HASH = "a keyed hash"
    HASH = "a hash"
    READABLE = "readable"


class OnErasure(StrEnum):
    """What an erasure does with a field."""

    DELETED = "the row is deleted"
    EMPTIED = "it is emptied"
    UNREADABLE = "it is unreadable, because its key is deleted"
    EXPIRES = "it stays until its retention ends"
    EVIDENCE = "it stays as evidence"


class PersonalField(NamedTuple):
    """One column with personal data."""

    #: `app.Model`.
    label: str
    column: str
    what: str
    protection: Protection
    erasure: OnErasure
    #: The section of the export that has it; empty where the export leaves it out.
    section: str
    #: Why the export leaves it out, or why it stays. Empty where nothing needs a reason.
    reason: str
    #: The keys of a JSON column; empty for other columns. `*` stands for keys of the caller.
    keys: tuple[str, ...] = ()


class Column(NamedTuple):
    """A column as a table of the registry lists it; what is left out is said of the table."""

    what: str
    protection: Protection | None = None
    #: Why the export leaves it out.
    left_out: str = ""
    keys: str = ""
    erasure: OnErasure | None = None
    #: Why it stays.
    stays: str = ""


def table(
    label: str,
    *,
    protection: Protection,
    erasure: OnErasure,
    section: str,
    columns: Mapping[str, Column | str],
    reason: str = "",
) -> tuple[PersonalField, ...]:
    """Returns the fields of one table.

    Args:
        label: `app.Model`.
        protection: of columns that name none.
        erasure: of columns that name none.
        section: of the export; empty where it leaves out the table, for `reason`.
        columns: what each column is.
        reason: why the export leaves the table out, or why it stays.
    """
    found = []
    for column, given in columns.items():
        entry = Column(given) if isinstance(given, str) else given
        found.append(
            PersonalField(
                label=label,
                column=column,
                what=entry.what,
                protection=entry.protection or protection,
                erasure=entry.erasure or erasure,
                section="" if entry.left_out else section,
                reason="; ".join(filter(None, (entry.left_out or reason, entry.stays))),
                keys=tuple(entry.keys.split()),
            )
        )
    return tuple(found)
