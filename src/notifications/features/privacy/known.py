"""The file of erasures: what `carillon restore` needs to erase again what a backup still contains.

It contains no name and no address: ids of data keys, UUIDs of people, and blind indexes. Each line
is one JSON object. The last one has the number of lines, and a tag under the service's secret key:
a file that was cut off or changed is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import HMAC, compare_digest
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from directory.models import Suppression
from notifications.features.privacy.request import REASON
from notifications.infra.crypto import authenticator
from notifications.infra.files import whole_file
from notifications.models import Erasure, ErasureState
from vault.models import ErasedKey

LONGEST_LINE = 16_000_000
_PAGE = 500
_FORM = 1

_PURPOSE = "file of erasures"


class InvalidErasures(ValueError):
    """A file of erasures is incomplete, was changed, or cannot be read."""


class FileHead(msgspec.Struct, tag="head", tag_field="line"):
    """The first line."""

    form: int


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


class FileEnd(msgspec.Struct, tag="end", tag_field="line"):
    """The last line."""

    #: How many lines are before it.
    lines: int
    #: All erasures before this time are in the file.
    at: datetime
    #: A keyed hash of the lines before it, their number and the time; hexadecimal.
    tag: str


_Row = KnownErasure | KnownSuppression | KnownKey
_Line = FileHead | FileEnd | _Row
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode


@dataclass(slots=True)
class KnownErasures:
    """All erasures that are known from some files, in the order in which they were read."""

    erasures: dict[object, KnownErasure] = field(default_factory=dict)
    suppressions: set[tuple[str, str]] = field(default_factory=set)
    #: Erased keys: the time, by id.
    keys: dict[int, datetime] = field(default_factory=dict)
    #: All erasures before this time are known: a caller sets it.
    until: datetime | None = None

    def merge(self, other: KnownErasures) -> None:
        """Adds all that another one knows, and not until when it knows it."""
        for each in other.erasures.values():
            self._add_erasure(each)
        self.suppressions |= other.suppressions
        self.keys |= other.keys

    def add(self, line: _Row) -> None:
        """Adds one line of a file."""
        if isinstance(line, KnownErasure):
            self._add_erasure(line)
        elif isinstance(line, KnownSuppression):
            self.suppressions.add((line.kind, line.index))
        else:
            self.keys[line.key] = line.at

    def _add_erasure(self, found: KnownErasure) -> None:
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
    count, found = 0, authenticator(_PURPOSE)
    with whole_file(path) as file:
        lines: Iterator[_Line] = chain([FileHead(_FORM)], _rows(main=main, keys=keys))
        for number, line in enumerate(lines, 1):  # noqa: B007 -- the last one is used below
            count += isinstance(line, KnownErasure)
            raw = _encode(line) + b"\n"
            found.update(raw)
            file.write(raw)
        end = FileEnd(number, now, "")
        file.write(_encode(FileEnd(number, now, _tag(found, end))) + b"\n")
    return count


def _rows(*, main: bool, keys: bool) -> Iterator[_Row]:
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


def read_erasures(path: Path, into: KnownErasures) -> datetime:
    """Adds what a file of `carillon erasures export` says; returns when it was written.

    Raises:
        InvalidErasures: the file is incomplete, was changed, or is of another installation; the
            text says which. OSError: it cannot be read.
    """
    head: FileHead | None = None
    end: FileEnd | None = None
    found, number, known = authenticator(_PURPOSE), 0, KnownErasures()
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE + 1):
            if end is not None:
                raise InvalidErasures(f"{path} goes on after its last line")
            number += 1
            each = _read_line(path, number, line)
            if isinstance(each, FileEnd):
                end = each
                continue
            found.update(line)
            if isinstance(each, FileHead):
                head = each
            else:
                known.add(each)
    if head is None or end is None:
        raise InvalidErasures(
            f"{path} is incomplete: it has not both the first and the last line of a file of"
            " `carillon erasures export`"
        )
    if not compare_digest(_tag(found, end), end.tag) or number != end.lines + 1:
        raise InvalidErasures(
            f"{path} was changed, or comes from an installation with another"
            " CARILLON_SECRET_KEY: its tag is wrong"
        )
    into.merge(known)
    return end.at


def _tag(found: HMAC, end: FileEnd) -> str:
    """Returns the tag of a file whose lines before the last were hashed."""
    whole = found.copy()
    whole.update(f"{end.lines} {end.at.astimezone(UTC).isoformat()}".encode())
    return whole.hexdigest()


def _read_line(path: Path, number: int, line: bytes) -> _Line:
    try:
        if len(line) > LONGEST_LINE:
            raise ValueError(f"it is longer than {LONGEST_LINE:,} bytes")
        found: _Line = _decode(line)
        if isinstance(found, FileHead) and found.form != _FORM:
            raise ValueError(f"its form is {found.form}, and this release knows {_FORM}")
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidErasures(
            f"{path}, line {number}: {error}; give a whole file of `carillon erasures export`"
            " (an export of the audit log is not accepted: it may end anywhere)"
        ) from error
    return found
