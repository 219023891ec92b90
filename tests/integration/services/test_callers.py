"""Callers that authenticated lately are trusted for a second, and no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.scopes import ALL_SCOPES
from notifications.features.access import callers
from notifications.features.access.authentication import (
    ACCESS_AUDIENCE,
    ACCESS_LIFE,
    CLOCK_SKEW_S,
    Unauthenticated,
    issue_access,
    new_drf_token,
)
from notifications.features.access.callers import CallerCache, forget_callers
from notifications.features.access.service import ApiKeyService
from notifications.infra import clock, ports
from notifications.models import ApiKey
from tests.conftest import FrozenClock
from tests.integration.factories import delete_row, make_user

pytestmark = pytest.mark.django_db
ADMIN = Caller(name="user:1", is_staff=True, scopes=ALL_SCOPES)


class Elapsed:
    """Monotonic seconds under a test's hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def elapsed() -> Iterator[Elapsed]:
    moved = Elapsed()
    with ports.installed(monotonic=moved):
        yield moved


def make_key(**values: Any) -> tuple[ApiKey, str]:
    return ApiKey.make(name="platform", scopes=["notifications:send"], **values)


def queries(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        work()
    return len(captured)


def bearers(user: User) -> dict[str, tuple[str, str]]:
    """A header's words of each kind."""
    return {
        "key": ("bearer", make_key(owner_id=user.pk)[1]),
        "jwt": ("bearer", issue_access(user, now=clock.now())),
        "token": ("token", new_drf_token(user)),
    }


@pytest.mark.parametrize("kind", ["key", "jwt", "token"])
def test_a_second_request_needs_no_query(kind: str, elapsed: Elapsed) -> None:
    cache, words = CallerCache(), bearers(make_user())[kind]
    first = cache.find(*words)
    assert queries(lambda: cache.find(*words)) == 0
    elapsed.seconds += 0.9
    assert queries(lambda: cache.find(*words)) == 0
    elapsed.seconds += 0.2
    assert queries(lambda: cache.find(*words)) == (3 if kind == "jwt" else 1)
    assert cache.find(*words) == first


def test_all_callers_are_read_again_in_one_query_a_kind(elapsed: Elapsed) -> None:
    """JWTs need two more: which tokens of a person, and of all, have ended."""
    cache = CallerCache()
    many = [words for n in range(5) for words in bearers(make_user(username=f"u{n}")).values()]
    for words in many:
        cache.find(*words)
    elapsed.seconds += 1.1
    assert queries(lambda: [cache.find(*words) for words in many]) == 5


def change_key(**values: Any) -> Callable[[User], object]:
    return lambda _: ApiKey.objects.update(**values)


def change_user(**values: Any) -> Callable[[User], object]:
    return lambda user: User.objects.filter(pk=user.pk).update(**values)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("key", change_key(revoked_at=clock.now())),
        ("key", change_key(key_hash="0" * 64)),
        ("key", lambda _: ApiKey.objects.all().delete()),
        ("jwt", change_user(is_active=False)),
        ("token", change_user(is_active=False)),
        ("token", lambda user: user.person_tokens.all().delete()),
        ("jwt", lambda user: delete_row(user.pk)),
    ],
)
def test_what_another_process_changed_holds_within_a_second(
    kind: str, change: Callable[[User], object], elapsed: Elapsed
) -> None:
    user = make_user()
    cache, words = CallerCache(), bearers(user)[kind]
    cache.find(*words)
    change(user)
    elapsed.seconds += callers.TRUSTED_S + 0.01
    with pytest.raises(Unauthenticated):
        cache.find(*words)


def test_a_changed_scope_and_role_hold_within_a_second(elapsed: Elapsed) -> None:
    user = make_user()
    cache, words = CallerCache(), bearers(user)
    assert not cache.find(*words["key"]).may("operations")
    assert not cache.find(*words["jwt"]).is_staff
    ApiKey.objects.update(scopes=["operations"])
    User.objects.filter(pk=user.pk).update(staff_role="author")
    elapsed.seconds += 1.1
    assert cache.find(*words["key"]).scopes == {"operations"}
    assert cache.find(*words["jwt"]).scopes == {"templates:read", "templates:write"}


def test_a_revocation_holds_at_once_in_the_process_that_made_it(
    django_capture_on_commit_callbacks: Any,
) -> None:
    key, text = make_key()
    callers.caller_of_text("bearer", text, address=str)
    with django_capture_on_commit_callbacks(execute=True):
        ApiKeyService().revoke(identifier=key.pk, caller=ADMIN)
    with pytest.raises(Unauthenticated):
        callers.caller_of_text("bearer", text, address=str)


def test_what_was_read_before_the_caches_were_cleared_is_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache, (_, text) = CallerCache(), make_key()
    authenticate = callers.authenticate_text

    def slowly(*words: str, **more: Any) -> Any:
        found = authenticate(*words, **more)
        ApiKey.objects.update(revoked_at=clock.now())  # another thread revokes it, and clears
        cache.clear()
        return found

    monkeypatch.setattr(callers, "authenticate_text", slowly)
    cache.find("bearer", text)
    with pytest.raises(Unauthenticated):
        cache.find("bearer", text)


def test_a_jwt_ends_at_its_time_though_it_is_stored(frozen: FrozenClock) -> None:
    user = make_user()
    cache, words = CallerCache(), bearers(user)["jwt"]
    cache.find(*words)
    frozen.forward(ACCESS_LIFE.total_seconds() + CLOCK_SKEW_S)
    with pytest.raises(Unauthenticated, match="expired"):
        cache.find(*words)


def test_the_signature_of_a_jwt_is_verified_again_after_a_minute(
    elapsed: Elapsed, settings: Any
) -> None:
    cache, words = CallerCache(), bearers(make_user())["jwt"]
    cache.find(*words)
    settings.JWT_SECRET = "x" * 40
    elapsed.seconds += 0.5
    cache.find(*words)
    elapsed.seconds += callers.JWT_S
    with pytest.raises(Unauthenticated):
        cache.find(*words)


def test_the_use_of_a_key_is_written_once_a_minute(frozen: FrozenClock) -> None:
    cache, (key, text) = CallerCache(), make_key()
    for _ in range(5):
        cache.find("bearer", text)
        frozen.forward(30)
    key.refresh_from_db()
    assert key.last_used_at is not None
    assert (frozen.now - key.last_used_at).total_seconds() <= 90


def test_no_more_callers_are_stored_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "MOST", 3)
    cache = CallerCache()
    texts = [make_key()[1] for _ in range(5)]
    for text in texts:
        cache.find("bearer", text)
    assert len(cache._entries) == 3
    assert queries(lambda: cache.find("bearer", texts[-1])) == 0
    assert queries(lambda: cache.find("bearer", texts[0])) > 0


def test_the_cache_stores_no_secret() -> None:
    cache, user = CallerCache(), make_user()
    every = bearers(user)
    for words in every.values():
        cache.find(*words)
    shown = repr(cache._entries)
    assert not any(text in shown for _, text in every.values())


def test_wrong_texts_are_not_stored() -> None:
    cache = CallerCache()
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            cache.find("bearer", "ck_live_x_y")
    assert not cache._entries
    forget_callers()


def test_a_user_without_an_external_id_is_not_named_none(elapsed: Elapsed) -> None:
    user = make_user(external_id="None")
    claims = {"user_id": "ext:None", "aud": ACCESS_AUDIENCE, "exp": 4_000_000_000}
    words = ("bearer", jwt.encode(claims, settings.JWT_SECRET, algorithm="HS256"))
    cache = CallerCache()
    assert cache.find(*words).user_id == user.pk
    User.objects.filter(pk=user.pk).update(external_id=None)
    elapsed.seconds += 1.1
    with pytest.raises(Unauthenticated):
        cache.find(*words)
