"""Callers that authenticated within the last seconds, so that a request needs no query for it.

A caller is trusted for one second after its rows were read. The first request after that reads the
rows of all callers that were seen lately, in one query a kind, and two or three more for JWTs. So a
revocation, a changed scope or a deactivation holds everywhere within a second, however it was made;
in the process that made it, `forget_callers` holds it at once. Nothing runs while no request comes
in.

The cache stores ids, scopes, categories, networks and hashes: no secret and no token.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal

from django.db import transaction

from directory.models import User
from notifications.domain.callers import Caller
from notifications.features.access.authentication import (
    EXTERNAL,
    LAST_USED_STEP,
    Authenticated,
    Unauthenticated,
    authenticate_text,
    check_times,
)
from notifications.features.access.principals import caller_of_key, callers_of_users
from notifications.features.access.sign_in.endings import Endings
from notifications.infra import clock
from notifications.models import ApiKey, PersonToken

TRUSTED_S: Final = 1.0
"""How long a caller is trusted after its rows were read."""
SEEN_S: Final = 10.0
"""A caller that made no request for so long is not read again."""
JWT_S: Final = 60.0
"""After this long the signature of a JWT is verified again: its key may have been withdrawn."""
MOST: Final = 10_000
"""Callers that are stored; the one that made no request for the longest time goes first."""
_AT_ONCE: Final = 1_000

Kind = Literal["key", "token", "jwt"]


@dataclass(slots=True)
class _Entry:
    """A caller, and by what its rows are found again."""

    #: How it authenticated, without the user's row.
    identity: Authenticated
    caller: Caller
    #: Monotonic seconds.
    verified_at: float
    read_at: float
    seen_at: float
    #: When the use of an API key was last written to its row.
    recorded_at: datetime


class CallerCache:
    """The callers of one process. May be used from any thread."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        #: Counts `clear`: what was read before it is not stored after it.
        self._clears = 0

    def find(self, scheme: str, text: str) -> Caller:
        """Returns who the text of an Authorization header stands for.

        Args:
            scheme: the header's first word in lower case. text: its second word.

        Raises:
            Unauthenticated, KeysUnreachable: see `authenticate_text`.
        """
        digest = sha256(f"{scheme} {text}".encode()).digest()
        now = clock.now()
        found = self._trusted(digest, now)
        if found is None:
            found = self._authenticate(digest, scheme, text, now)
        return found

    def clear(self) -> None:
        """Forgets all callers."""
        with self._lock:
            self._entries.clear()
            self._clears += 1

    def _trusted(self, digest: bytes, now: datetime) -> Caller | None:
        entry = self._seen(digest)
        if entry is not None and clock.monotonic() - entry.read_at > TRUSTED_S:
            with self._reading:  # one thread reads for all
                if clock.monotonic() - entry.read_at > TRUSTED_S:
                    self._read_again()
            entry = self._seen(digest)
        if entry is None or not self._is_good(entry, now):
            return None
        if entry.identity.times is not None:
            check_times(*entry.identity.times, now=now.timestamp())
        return entry.caller

    def _seen(self, digest: bytes) -> _Entry | None:
        with self._lock:
            entry = self._entries.get(digest)
            if entry is not None:
                entry.seen_at = clock.monotonic()
                self._entries.move_to_end(digest)
            return entry

    @staticmethod
    def _is_good(entry: _Entry, now: datetime) -> bool:
        """Whether the entry needs no full authentication: for a key, to record its use; for a JWT,
        to verify its signature."""
        if entry.identity.kind == "key":
            return now - entry.recorded_at < LAST_USED_STEP
        return entry.identity.kind != "jwt" or clock.monotonic() - entry.verified_at < JWT_S

    def _authenticate(self, digest: bytes, scheme: str, text: str, now: datetime) -> Caller:
        at, clears = clock.monotonic(), self._clears
        found = authenticate_text(scheme, text, now=now, records_use=True)
        entry = _Entry(replace(found, user=None), found.caller, at, at, at, recorded_at=now)
        with self._lock:
            if clears != self._clears:
                return found.caller
            self._entries[digest] = entry
            self._entries.move_to_end(digest)
            while len(self._entries) > MOST:
                self._entries.popitem(last=False)
        return found.caller

    def _read_again(self) -> None:
        """Reads the rows of all callers that were seen lately; forgets all others."""
        at = clock.monotonic()
        with self._lock:
            held = list(self._entries.items())
        lately = [pair for pair in held if at - pair[1].seen_at < SEEN_S]
        callers: dict[tuple[Kind, int | str], dict[object, Caller]] = {}
        for kind, read in _READERS.items():
            rows = list({e.identity.row for _, e in lately if e.identity.kind == kind})
            for start in range(0, len(rows), _AT_ONCE):
                for row, proofs in read(rows[start : start + _AT_ONCE]):
                    callers[kind, row] = proofs
        origins = [e.identity.origin for _, e in lately if e.identity.origin is not None]
        endings = Endings(origins, now=clock.now()) if origins else None
        with self._lock:
            for digest, entry in held:
                if self._entries.get(digest) is not entry:
                    continue  # forgotten or authenticated anew meanwhile
                identity = entry.identity
                caller = callers.get((identity.kind, identity.row), {}).get(identity.proof)
                if caller is None or _has_ended(endings, identity):
                    del self._entries[digest]
                else:
                    entry.caller = replace(caller, origin=entry.caller.origin)
                    entry.read_at = at


def _has_ended(endings: Endings | None, identity: Authenticated) -> bool:
    origin = identity.origin
    return endings is not None and origin is not None and endings.has_ended(origin)


_Read = Iterable[tuple[int | str, dict[object, Caller]]]


def _read_keys(rows: list[int | str]) -> _Read:
    now = clock.now()
    for key in ApiKey.objects.filter(pk__in=rows, revoked_at__isnull=True):
        caller = caller_of_key(key)
        proofs: dict[object, Caller] = {key.key_hash: caller}
        if key.accepts_previous(now):
            proofs[key.previous_hash] = caller
        yield key.pk, proofs


def _read_tokens(rows: list[int | str]) -> _Read:
    found = PersonToken.objects.select_related("user").filter(key_hash__in=rows)
    held = [token for token in found if token.user.is_active]
    callers = callers_of_users(token.user for token in held)
    for token in held:
        yield token.key_hash, {None: callers[token.user_id]}


def _read_users(rows: list[int | str]) -> _Read:
    found = User.objects.filter(pk__in=rows, is_active=True)
    people = list(found.only("id", "uuid", "external_id", "staff_role"))
    callers = callers_of_users(people)
    for user in people:
        yield user.pk, dict.fromkeys(_names_of(user), callers[user.pk])


def _names_of(user: User) -> list[object]:
    """The `user_id` claims that name a user."""
    names: list[object] = [user.pk, str(user.uuid)]
    return names if user.external_id is None else [*names, f"{EXTERNAL}{user.external_id}"]


_READERS: dict[Kind, Callable[[list[int | str]], _Read]] = {
    "key": _read_keys,
    "token": _read_tokens,
    "jwt": _read_users,
}

CACHE = CallerCache()
"""The callers of this process."""


def caller_of_text(scheme: str, text: str, *, address: Callable[[], str]) -> Caller:
    """Returns the caller whom an Authorization header names. See `CallerCache.find`.

    address: returns the client's; it is called only for a key that has a list of networks.

    Raises:
        Unauthenticated: address_not_allowed, too.
    """
    return checked_address(CACHE.find(scheme, text), address)


def checked_address(caller: Caller, address: Callable[[], str]) -> Caller:
    """Returns the caller, whose key may be used from the client's address.

    Raises:
        Unauthenticated: address_not_allowed.
    """
    if caller.networks and not caller.may_come_from(address()):
        raise Unauthenticated(
            "this API key may not be used from this address: ask an administrator to add the"
            " network to the addresses of the key",
            code="address_not_allowed",
        )
    return caller


def forget_callers() -> None:
    """Makes this process read every caller anew, once the current transaction has committed."""
    CACHE.clear()
    transaction.on_commit(CACHE.clear)


def revoke_drf_tokens(user: User) -> int:
    """Deletes all tokens of a user; returns their number."""
    count = PersonToken.objects.filter(user=user).delete()[0]
    forget_callers()
    return count
