"""docs/reference/personal-data.md, made from the registry of personal data."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from notifications.features.privacy.registry.fields import PersonalField

_HEAD = """
This page names every field with personal data: how it is protected, what an erasure does with it, and which section of an [export](../privacy.md#export) has it.

`tests/architecture/test_personal_data.py` fails for a column, a key of JSON, a cache or a field of the log that is not named here or in the list without personal data.
`tests/integration/privacy/test_every_field.py` fills every field, exports the person, erases them, and searches all tables.
""".strip()
_RETENTION = "[Storage by age](../retention.md) says when the rows of a table are deleted without an erasure."


def personal_data_page(note: str) -> str:
    """Returns the page. note: the line that says that it is generated."""
    from notifications.features.privacy.registry.elsewhere import CACHES, LOG_FIELDS, REDIS
    from notifications.features.privacy.registry.registry import PERSONAL

    found = ["# Personal data", "", note, *_HEAD.splitlines(), _RETENTION, ""]
    head = "| table and column | what | protected | at an erasure | exported in | why |"
    found += ["## In tables", "", head, "| --- | --- | --- | --- | --- | --- |"]
    for label, fields in groupby(PERSONAL, key=lambda field: field.label):
        alike: dict[tuple[str, ...], list[PersonalField]] = defaultdict(list)
        for field in fields:
            alike[field.protection, field.erasure, field.section, field.reason].append(field)
        found += [_row(label, some) for some in alike.values()]
    held = {place: what for place, what in CACHES.items() if what.startswith("personal: ")}
    found += ["", "## In the memory of processes", ""]
    found += ["No table and no file has it. A restart of the processes empties it.", ""]
    found += ["| cache | what |", "| --- | --- |"]
    found += [f"| `{place}` | {what.removeprefix('personal: ')} |" for place, what in held.items()]
    found += ["", "## In Redis", "", "| written by | what |", "| --- | --- |"]
    found += [f"| `{module}` | {what} |" for module, what in REDIS.items()]
    found += ["", "## In the log", ""]
    found += ["Addresses in any text are replaced before a line is written.", ""]
    found += ["| fields | what |", "| --- | --- |"]
    found += [f"| {_names(names)} | {what} |" for what, names in LOG_FIELDS.items()]
    return "\n".join([*found, ""])


def _row(label: str, fields: list[PersonalField]) -> str:
    """Returns the line of some columns of a table of which the same is said."""
    first, name = fields[0], label.rpartition(".")[2]
    section = f"`{first.section}`" if first.section else "no"
    columns = ", ".join(f"`{name}.{field.column}`" for field in fields)
    what = "; ".join(dict.fromkeys(_what(field) for field in fields))
    said = (columns, what, first.protection, first.erasure, section, first.reason)
    return f"| {' | '.join(said)} |"


def _what(field: PersonalField) -> str:
    keys = f" (keys {', '.join(f'`{key}`' for key in field.keys)})" if field.keys else ""
    return f"{field.what}{keys}"


def _names(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split())
