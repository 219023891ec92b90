"""Finds people by a whole email, username or phone number, or by words of their names.

Names are sealed. Their words are found by tokens: keyed hashes of each word and of its beginnings
from three letters on. Equal tokens reveal that two people share a word, and nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models

from directory.addresses import AddressFault, normalise_address, read_phone
from directory.models.contact import ContactKind
from directory.rows import Insert, insert_values
from vault.indexes import hasher

if TYPE_CHECKING:
    from directory.models.user import User

SHORTEST = 3
"""The fewest letters of a beginning of a word."""
_WORD = re.compile(r"\w+")
_PREFIX = "search:{}:"
_MOST_WORDS = 8
_LONGEST = 40


class SearchToken(models.Model):
    """One token of one person. They go with the person."""

    pk = models.CompositePrimaryKey("token", "user_id")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    #: The first 8 bytes of an HMAC, as a signed number.
    token = models.BigIntegerField()

    def __str__(self) -> str:
        return f"a search token of user {self.user_id}"


def save_tokens(
    people: Sequence[User], *, fresh: bool = False, insert: Insert = insert_values
) -> None:
    """Writes the tokens of people. fresh: they have none yet. insert: what writes the rows."""
    if not fresh:
        SearchToken.objects.filter(user_id__in=[user.pk for user in people]).delete()
    known: dict[str, int] = {}
    rows = [(token, user.pk) for user in people for token in _tokens_of(user, known)]
    insert(SearchToken, ("token", "user_id"), sorted(rows))  # sorted keys are cheaper for an index


def people_matching(text: str) -> models.Q | None:
    """Returns the condition for people whom a search names; None where it is too short.

    A text of several words finds those whose names have all of them.
    """
    whole = [_token("username", _folded(text.strip())), *_address_tokens(text)]
    words = _words(text)
    if not words or min(map(len, words)) < SHORTEST:
        if "@" not in text and not any(letter.isdigit() for letter in text):
            return None
        words = []
    wanted = [_token("word", word[:_LONGEST]) for word in words[:_MOST_WORDS]]
    if len(wanted) <= 1:
        return models.Q(pk__in=_users_with([*whole, *wanted]))
    named = _users_with(wanted[:1])
    for token in wanted[1:]:
        named = named.filter(user_id__in=_users_with([token]))
    # One list of ids: with an OR of two, PostgreSQL would read all people.
    return models.Q(pk__in=_users_with(whole).union(named))


def select_normal(name: str, text: str) -> tuple[str, list[Any]]:
    """Returns SQL for the ids of people whose field has the normal form of a text.

    Addresses have the form in which they are compared, other texts NFKC in one case.
    """
    token = _normal_token(name, text)
    if token is None:
        return "SELECT user_id FROM directory_searchtoken WHERE 1 = 0", []
    return "SELECT user_id FROM directory_searchtoken WHERE token = %s", [token]


def _normal_token(name: str, text: str) -> int | None:
    """Returns the token of a field's whole text; None where it has none."""
    if not text.strip():
        return None
    kind = _KINDS.get(name)
    normal = _folded(text.strip()) if kind is None else normalise_address(kind, text)
    return _token(_PURPOSES.get(name, name), normal)


_KINDS = {
    "email": ContactKind.EMAIL,
    "phone_number": ContactKind.PHONE,
    "telegram_id": ContactKind.TELEGRAM,
}
_PURPOSES = {"phone_number": "phone"}
NORMAL_FIELDS = ("username", "email", "phone_number", "telegram_id", "first_name", "last_name")
"""The fields of a person that are found by their normal form."""


def refresh_tokens(people: Sequence[User]) -> int:
    """Writes the tokens of people whose stored ones differ; returns how many they are."""
    known: dict[str, int] = {}
    stored: dict[int, set[int]] = {user.pk: set() for user in people}
    for key, token in SearchToken.objects.filter(user_id__in=stored).values_list(
        "user_id", "token"
    ):
        stored[key].add(token)
    stale = [user for user in people if stored[user.pk] != _tokens_of(user, known)]
    if stale:
        save_tokens(stale)
    return len(stale)


def _users_with(tokens: Iterable[int]) -> models.QuerySet[SearchToken, int]:
    return SearchToken.objects.filter(token__in=list(tokens)).values_list("user_id", flat=True)


def _address_tokens(text: str) -> list[int]:
    text = text.strip()
    if "@" in text:
        return [_token("email", normalise_address(ContactKind.EMAIL, text))]
    try:
        return [_token("phone", read_phone(text))]
    except AddressFault:
        return []


def _tokens_of(user: User, known: dict[str, int]) -> set[int]:
    """Returns the tokens of a person. known: those of words, for all people of one call."""
    found = set()
    for name in NORMAL_FIELDS:
        text = getattr(user, name)
        if text and (token := _normal_token(name, text)) is not None:
            found.add(token)
    for word in _words(f"{user.first_name} {user.last_name}")[:_MOST_WORDS]:
        word = word[:_LONGEST]
        for end in range(min(SHORTEST, len(word)), len(word) + 1):
            beginning = word[:end]
            token = known.get(beginning)
            if token is None:
                token = known[beginning] = _token("word", beginning)
            found.add(token)
    return found


def _words(text: str) -> list[str]:
    return _WORD.findall(_folded(text))


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()  # the same, without three passes
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", text).casefold())


def _token(kind: str, text: str) -> int:
    return _number(hasher()(_PREFIX.format(kind) + text))


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big", signed=True)
