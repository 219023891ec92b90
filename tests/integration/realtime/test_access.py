"""Who may open a socket, and when an open one ends."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import jwt as pyjwt
import pytest
from django.conf import settings
from structlog.testing import capture_logs

from directory.models import User
from notifications.features.access.authentication import (
    ACCESS_AUDIENCE,
    issue_access,
    new_drf_token,
    sign_token,
)
from notifications.features.access.sign_in.sign_ins import end_sign_ins
from notifications.features.access.tokens.families import issue_tokens
from notifications.features.inbox.tickets import issue_ticket
from notifications.infra import clock
from notifications.models import ApiKey, SignIn
from tests.conftest import FrozenClock
from tests.integration.factories import make_user
from tests.integration.realtime.conftest import Live, jwt

pytestmark = pytest.mark.django_db(transaction=True)


def forged(user: User, **claims: Any) -> str:
    now = int(clock.now().timestamp())
    given = {"user_id": str(user.uuid), "aud": ACCESS_AUDIENCE, "iat": now, "exp": now + 60}
    return pyjwt.encode({**given, **claims}, "another-secret-that-is-long-enough-for-it")


def test_tokens_that_are_refused_close_with_4401(live: Live, person: User):
    past = clock.now() - timedelta(hours=2)
    ticket = issue_ticket(person.pk).text
    refused = {
        "forged": forged(person),
        "expired": issue_access(person, now=past),
        "of another audience": sign_token(
            person, "carillon:refresh", now=clock.now(), expires_at=clock.now() + timedelta(hours=1)
        ),
        "no token": "nonsense",
        "of no one": pyjwt.encode(
            {"user_id": 10**9, "aud": ACCESS_AUDIENCE, "iat": 1, "exp": 2**40}, settings.JWT_SECRET
        ),
        "a DRF token": new_drf_token(person),
        "a ticket": ticket,
        "of someone inactive": jwt(make_user(is_active=False)),
    }
    for what, token in refused.items():
        assert live.client(person, token=token).close_code() == 4401, what


def test_an_api_key_closes_with_4403(live: Live, person: User):
    _, key = ApiKey.make(name="a", scopes=["notifications:read"])

    assert live.client(person, token=key).close_code() == 4403


def test_the_token_may_come_as_a_subprotocol(live: Live, person: User):
    client = live.client(person, token="-", subprotocols=["carillon.v1", f"bearer.{jwt(person)}"])

    assert client.socket.subprotocol == "carillon.v1"
    assert client.group()[-1]["data"]["count"] == 0


def test_pages_of_other_origins_close_with_4403(live: Live, person: User):
    assert live.client(person, origin="https://evil.example").close_code() == 4403
    own = f"http://127.0.0.1:{live.port}"
    assert live.client(person, origin=own).group()


def test_a_token_that_ends_closes_within_a_second(live: Live, person: User):
    client = live.client(person)
    client.group()
    person.tokens_not_before = clock.now() + timedelta(seconds=1)
    person.save()
    began = time.monotonic()

    assert client.close_code() == 4401
    assert time.monotonic() - began < 5


def test_a_person_who_is_deactivated_is_cut_off(live: Live, person: User):
    client = live.client(person)
    client.group()

    User.objects.filter(pk=person.pk).update(is_active=False)

    assert client.close_code() == 4401


def test_a_client_is_asked_for_a_fresh_token_and_goes_on_with_it(
    live: Live, person: User, frozen: FrozenClock
):
    now = clock.now()
    short = sign_token(person, ACCESS_AUDIENCE, now=now, expires_at=now + timedelta(seconds=30))
    client = live.client(person, token=short)
    # It may come before the first group, because both are on their way at once.
    early = [frame for frame in client.group() if frame["type"] == "token"]

    assert (early or [client.frame()])[0]["type"] == "token"
    client.send("token", jwt=jwt(person))
    client.send("ping")
    assert client.frame()["type"] == "pong", "the fresh token is taken"
    frozen.forward(60)
    live.wait_for_a_round()
    client.send("ping")
    assert client.frame()["type"] == "pong", "the short token has ended"


def test_a_token_of_somebody_else_closes_with_4403(live: Live, person: User):
    client = live.client(person)
    client.group()

    client.send("token", jwt=jwt(make_user()))

    assert client.close_code() == 4403


def test_an_expired_token_closes_with_4401(live: Live, person: User):
    now = clock.now()
    short = sign_token(person, ACCESS_AUDIENCE, now=now, expires_at=now - timedelta(seconds=8))

    assert live.client(person, token=short).close_code() == 4401


def test_a_signed_out_client_is_cut_off(live: Live, person: User):
    family = issue_tokens(person, now=clock.now())
    client = live.client(person, token=family.access)
    client.group()

    end_sign_ins(SignIn.objects.filter(user=person))

    assert client.close_code() == 4401


def test_refusals_are_security_events(live: Live, person: User):
    with capture_logs() as events:
        live.client(person, token="nonsense").close_code()
        live.client(person, origin="https://evil.example").close_code()
        live.get("/api/v1/inbox/stream").read()

    refused = [event for event in events if event["event"] == "security.refused"]
    assert [(each["status"], each["code"]) for each in refused] == [
        (4401, "invalid_token"),
        (4403, "refused"),
        (401, "not_authenticated"),
    ]
    assert {each["client"] for each in refused} == {"127.0.0.1"}
    assert "nonsense" not in str(events)
