"""The file of erasures: what `carillon restore` needs to erase again what a backup still contains.

It contains no name and no address: ids of data keys, UUIDs of people, and blind indexes. Each line
is one JSON object. An export of the audit log is read, too: the leaves of erasures say the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from directory.models import Suppression
from notifications.features.privacy.request import REASON
from notifications.models import Erasure, ErasureState, LeafKind
from vault.models import ErasedKey

LONGEST_LINE = 16_000_000
_PAGE = 500
_FORM = 1


class InvalidErasures(ValueError):
    """A line of a file of erasures cannot be read."""


class FileHead(msgspec.Struct, tag="head", tag_field="line"):
    """The first line."""

    form: int
    #: All erasures before this time are in the file.
    at: datetime


class KnownErasure(msgspec.Struct, tag="erasure", tag_field="line", kw_only=True):
    """One erasure, as its certificate says."""

    certificate: UUID | None = None
    user_id: int | None = None
    person: UUID | None = None
    kind: str = ""
    reason: str = ""
    actor: str = ""
    state: str = ErasureState.REQUESTED.value
    requested_at: datetime
    keys: list[int] = []
    in_flight: list[int] = []
    removed: dict[str, int] = {}

    @property
    def is_held(self) -> bool:
        """Whether it waited for the end of a legal hold."""
        return self.state == ErasureState.WAITING_FOR_HOLD


class KnownSuppression(msgspec.Struct, tag="suppression", tag_field="line"):
    """An erased address that nothing may be sent to, by its index alone."""

    kind: str
    index: str


class KnownKey(msgspec.Struct, tag="key", tag_field="line"):
    """A data key that was erased."""

    key: int
    kind: str
    at: datetime


_Line = FileHead | KnownErasure | KnownSuppression | KnownKey
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode


@dataclass(slots=True)
class KnownErasures:
    """All erasures that are known from some files, in the order in which they were read."""

    erasures: dict[object, KnownErasure] = field(default_factory=dict)
    suppressions: set[tuple[str, str]] = field(default_factory=set)
    #: Erased keys: the time, by id.
    keys: dict[int, datetime] = field(default_factory=dict)
    #: All erasures before this time are known.
    until: datetime | None = None
    #: Erasures of addresses of which a file says no key: a release before this one wrote them.
    nameless: int = 0

    def add(self, line: _Line) -> None:
        """Adds one line of a file."""
        if isinstance(line, KnownErasure):
            self._add_erasure(line)
        elif isinstance(line, KnownSuppression):
            self.suppressions.add((line.kind, line.index))
        elif isinstance(line, KnownKey):
            self.keys[line.key] = line.at
        else:
            self.until = max(self.until or line.at, line.at)

    def _add_erasure(self, found: KnownErasure) -> None:
        if not found.user_id and not found.keys and found.certificate is None:
            self.nameless += 1
            return
        name = found.certificate or ("user", found.user_id)
        known = self.erasures.get(name)
        if known is None or known.is_held or len(found.keys) > len(known.keys):
            self.erasures[name] = found


def write_erasures(path: Path, *, now: datetime, main: bool = True, keys: bool = True) -> int:
    """Writes all erasures of this installation to a new file; returns how many.

    main, keys: whether the main database and the key store are read.

    Raises:
        OSError: the file exists, or cannot be written.
    """
    count = 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(_encode(FileHead(_FORM, now)) + b"\n")
        for line in _lines(main=main, keys=keys):
            count += isinstance(line, KnownErasure)
            file.write(_encode(line) + b"\n")
    return count


def _lines(*, main: bool, keys: bool) -> Iterator[_Line]:
    if main:
        for erasure in _paged(Erasure.objects):
            yield _known(erasure)
        yield from _suppressions()
    if keys:
        for key in _paged(ErasedKey.objects):
            yield KnownKey(key.pk, key.kind, key.erased_at)


def _suppressions() -> Iterator[KnownSuppression]:
    rows = Suppression.objects.filter(reason=REASON).order_by("pk")
    last = 0
    while page := list(rows.filter(pk__gt=last).indexes("pk", "kind", "address")[:_PAGE]):
        yield from (KnownSuppression(kind, stored.text) for _, kind, stored in page)
        last = page[-1][0]


def _paged(rows: Any) -> Iterator[Any]:
    page = list(rows.order_by("pk")[:_PAGE])
    while page:
        yield from page
        page = list(rows.filter(pk__gt=page[-1].pk).order_by("pk")[:_PAGE])


def _known(erasure: Erasure) -> KnownErasure:
    return KnownErasure(
        certificate=erasure.uuid,
        user_id=erasure.user_id,
        person=erasure.person,
        kind=erasure.kind,
        reason=erasure.reason,
        actor=erasure.actor,
        state=erasure.state,
        requested_at=erasure.requested_at,
        keys=erasure.key_ids,
        in_flight=erasure.in_flight,
        removed=erasure.removed,
    )


def read_erasures(path: Path, into: KnownErasures) -> None:
    """Adds what a file says: one of `carillon erasures export`, or of `carillon audit export`.

    Raises:
        InvalidErasures: a line cannot be read; the text names it. OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            try:
                for found in _read_line(line):
                    into.add(found)
            except (msgspec.MsgspecError, ValueError, TypeError, KeyError) as error:
                raise InvalidErasures(
                    f"{path}, line {number}: {error}; give a file of `carillon erasures export`"
                    " or of `carillon audit export --format ndjson`"
                ) from error
    if not number:
        raise InvalidErasures(f"{path} is empty: even without an erasure it has a first line")


def _read_line(line: bytes) -> list[_Line]:
    if len(line) > LONGEST_LINE:
        raise ValueError(f"it is longer than {LONGEST_LINE:,} bytes")
    raw = msgspec.json.decode(line)
    if "action" not in raw:
        found = _decode(line)
        if isinstance(found, FileHead) and found.form != _FORM:
            raise ValueError(f"its form is {found.form}, and this release knows {_FORM}")
        return [found]
    head = FileHead(_FORM, _time(raw["at"]))
    return [head, *_from_leaf(raw)] if raw["kind"] == LeafKind.ERASURE else [head]


def _time(text: str) -> datetime:
    return msgspec.convert(text, datetime)


def _from_leaf(raw: dict[str, Any]) -> list[_Line]:
    """Returns what a leaf of an erasure says."""
    details = raw.get("after") or {}
    user_id = int(str(raw["target"]).partition(":")[2] or 0)
    found: list[_Line] = [
        msgspec.convert(
            {
                "line": "erasure",
                "certificate": details.get("certificate"),
                "user_id": user_id or None,
                "person": details.get("person"),
                "kind": details.get("kind", ""),
                "reason": raw.get("reason", ""),
                "actor": raw["actor"],
                "state": details.get("state", ErasureState.REQUESTED.value),
                "requested_at": raw["at"],
                "keys": details.get("keys", []),
                "in_flight": details.get("in_flight", []),
            },
            KnownErasure,
        )
    ]
    for kind, index in details.get("suppressions", []):
        found.append(KnownSuppression(str(kind), str(index)))
    return found
