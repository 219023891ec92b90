"""What happens each second: marks are written, restored databases are found, idle sockets close."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from django.db import OperationalError

from directory.models import User
from notifications.domain.callers import TokenOrigin
from notifications.features.access.authentication import (
    Unauthenticated,
    issue_access,
    new_drf_token,
)
from notifications.features.access.callers import revoke_drf_tokens
from notifications.features.access.sign_in.sign_ins import end_everything, end_sign_ins
from notifications.features.access.socket_tokens import (
    SocketToken,
    find_ended,
    persons_of_tokens,
)
from notifications.features.access.tokens.families import issue_tokens
from notifications.features.inbox import epochs
from notifications.infra import clock
from notifications.infra.crypto import secret_hash
from notifications.models import InboxArrival, InboxEpoch, InstallationState, SignIn
from notifications.realtime import rounds, tokens
from tests.integration.factories import make_user
from tests.integration.realtime.conftest import Live, jwt, send
from tests.integration.statements import Statements


def token_of(user: User) -> SocketToken:
    found = persons_of_tokens([jwt(user)], now=clock.now())[0]
    assert isinstance(found, SocketToken)
    return found


@pytest.mark.django_db
def test_many_tokens_cost_a_few_statements() -> None:
    people = [make_user() for _ in range(20)]
    texts = [issue_access(user, now=clock.now()) for user in people]

    with Statements() as of_opening:
        found = persons_of_tokens(texts, now=clock.now())
    opened = [each for each in found if isinstance(each, SocketToken)]
    with Statements() as of_a_round:
        ended = find_ended(opened, now=clock.now())

    assert [each.user_id for each in opened] == [user.pk for user in people]
    assert len(of_opening) <= 4
    assert (ended, len(of_a_round)) == (set(), 1)


@pytest.mark.django_db
def test_tokens_end_with_their_person_and_with_all() -> None:
    opened = [token_of(make_user()) for _ in range(4)]
    User.objects.filter(pk=opened[0].user_id).update(is_active=False)
    User.objects.filter(pk=opened[1].user_id).update(tokens_not_before=clock.now())

    assert find_ended(opened, now=clock.now()) == set(opened[:2])
    InstallationState.objects.update(tokens_not_before=clock.now())
    assert find_ended(opened, now=clock.now()) == set(opened)


def family_of(user: User) -> SocketToken:
    found = persons_of_tokens([issue_tokens(user, now=clock.now()).access], now=clock.now())[0]
    assert isinstance(found, SocketToken)
    return found


def stored_of(user: User) -> SocketToken:
    """What a ticket opens that a stored token issued."""
    key_hash = secret_hash(new_drf_token(user))
    now = clock.now().timestamp()
    return SocketToken(user.pk, now + 600, TokenOrigin(user.pk, now, None, key_hash))


@pytest.mark.django_db
def test_a_round_is_one_statement_for_tokens_of_every_kind() -> None:
    """Whatever ended them, and however many there are."""
    opened = [make(make_user()) for make in (token_of, family_of, stored_of) for _ in range(12)]
    expected = set()

    def ends(place: int) -> User:
        expected.add(opened[place])
        return User.objects.get(pk=opened[place].user_id)

    User.objects.filter(pk=ends(0).pk).update(is_active=False)
    end_everything(ends(1), now=clock.now())
    end_sign_ins(SignIn.objects.filter(user=ends(12)))
    changed = ends(13)
    changed.set_password("another password")
    changed.save()
    SignIn.objects.filter(user=ends(14)).update(expires_at=clock.now())
    User.objects.filter(pk=ends(15).pk).update(is_active=False)
    end_everything(ends(16), now=clock.now())
    revoke_drf_tokens(ends(24))

    with Statements() as made:
        assert find_ended(opened, now=clock.now()) == expected
    assert len(made) == 1


@pytest.mark.django_db
def test_a_family_without_a_needed_second_factor_ends(override_environment: Any) -> None:
    admin = make_user(staff_role="admin")
    opened = family_of(admin)
    assert find_ended([opened], now=clock.now()) == set()

    override_environment(require_second_factor="admins")

    assert find_ended([opened], now=clock.now()) == {opened}


class Beats:
    """The numbers of the main database and of the key store, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.copied, self.number, self.now = 5, 5, 0.0
        self.renewed = 0
        monkeypatch.setattr(
            InboxEpoch.objects, "beats", lambda: (self.copied, self.number), raising=False
        )
        monkeypatch.setattr(InboxEpoch.objects, "renew", self.renew, raising=False)
        monkeypatch.setattr(epochs.clock, "monotonic", lambda: self.now)

    def renew(self) -> str:
        self.renewed += 1
        return "new"


def test_a_database_that_stays_behind_gets_a_new_epoch_once(monkeypatch: pytest.MonkeyPatch):
    beats = Beats(monkeypatch)
    check = epochs.EpochCheck()
    beats.number = 9
    for _ in range(6):
        check.run()
        beats.now += 0.5
    assert beats.renewed == 1
    check.run()
    assert beats.renewed == 1


def test_a_busy_database_is_not_taken_for_a_restored_one(monkeypatch: pytest.MonkeyPatch):
    beats = Beats(monkeypatch)
    check = epochs.EpochCheck()
    for _ in range(8):  # an event is about to commit whenever it looks
        beats.copied, beats.number = beats.number, beats.number + 1
        check.run()
        beats.now += 1.0
    assert beats.renewed == 0


def test_it_looks_again_after_the_database_was_away(monkeypatch: pytest.MonkeyPatch):
    beats = Beats(monkeypatch)
    check = epochs.EpochCheck()
    assert not check.run()
    beats.number = 9
    beats.now = 100.0
    assert not check.run()

    check.repeat()
    check.run()
    beats.now = 103.0

    assert check.run()


@pytest.mark.once
def test_a_token_that_cannot_be_read_costs_no_other_one(monkeypatch: pytest.MonkeyPatch):
    good = SocketToken(7, 2.0**40, TokenOrigin(7, 1.0, None))

    def read(texts: list[str], **_: Any) -> list[SocketToken]:
        if "odd" in texts:
            raise RecursionError
        return [good for _ in texts]

    monkeypatch.setattr(tokens, "persons_of_tokens", read)

    async def find_all() -> list[Any]:
        verifier = tokens.Tokens(waiting=10, may_serve=lambda: True)
        asked = [verifier.find(text) for text in ("a", "odd", "b")]
        found = await asyncio.gather(*asked, return_exceptions=True)
        verifier.shutdown()
        return found

    first, odd, last = asyncio.run(find_all())

    assert (first, last) == (good, good)
    assert (type(odd), odd.code) == (Unauthenticated, "invalid_token")


@pytest.mark.django_db(transaction=True)
def test_marks_wait_while_the_database_is_away(
    live: Live, person: User, monkeypatch: pytest.MonkeyPatch
):
    send(person)
    client = live.client(person)
    shown = client.group()[0]["data"]["id"]
    failures: list[Any] = []
    real = rounds.mark_all_seen

    def fails_once(seen: Any) -> int:
        if not failures:
            failures.append(seen)
            raise OperationalError("away")
        return real(seen)

    monkeypatch.setattr(rounds, "mark_all_seen", fails_once)
    client.send("seen", ids=[shown])

    live.wait_until(lambda: InboxArrival.objects.filter(seen_at__isnull=False).exists())
    assert failures


@pytest.mark.django_db(transaction=True)
@pytest.mark.once
def test_a_socket_that_answers_no_ping_closes_with_4408(live: Live, person: User):
    live.config.ws_ping_interval = live.config.ws_ping_timeout = 0.2
    with socket.create_connection(("127.0.0.1", live.port), timeout=10) as raw:
        raw.sendall(
            f"GET /ws/notifications/?token={jwt(person)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        received = b""
        while chunk := raw.recv(4096):
            received += chunk

    assert received.endswith(b"\x88\x06" + (4408).to_bytes(2) + b"idle")
