"""What one message's facts say of the message itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from notifications.domain.limits import Limit
from notifications.models.delivery.hot_facts import Circumstances, People
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy import facts
from notifications.policy.facts import SliceFacts, limits_of, message_facts
from notifications.policy.preference_text import CategoryTerms

pytestmark = pytest.mark.once
TERMS = CategoryTerms("payment")


def message(**values: Any) -> PendingMessage:
    plain: dict[str, Any] = dict.fromkeys(PendingMessage._fields)
    plain |= {"id": 1, "user_id": 7, "channel": "in_app", "priority": 3, "is_read": False}
    return PendingMessage(**{**plain, "source": "key:1", **values})


@pytest.mark.parametrize(
    ("source", "is_digest"),
    [("digest", True), ("broadcast:7", False), ("key:1", False), ("system", False)],
)
def test_only_a_digest_is_one(source: str, is_digest: bool) -> None:
    found = message_facts(
        message(source=source),
        SliceFacts(),
        TERMS,
        at=datetime(2030, 5, 1, tzinfo=UTC),
        supports_channel=True,
        stopped_by="",
    )
    assert found.is_digest is is_digest


def test_a_message_stands_under_its_categorys_caps_and_its_senders_limits() -> None:
    terms = CategoryTerms("payment", caps='[{"limit": 3, "window_s": 60, "channel": "email"}]')
    cap = Limit("category:payment", "email", 60, 3, "frequency_cap:payment")
    assert limits_of(message(channel="email"), terms) == (cap,)
    assert limits_of(message(channel="sms"), terms) == ()
    options = '{"throttle": {"key": "k", "window_s": 5}}'
    own = Limit("throttle:k", "email", 5, 1, "throttled:k")
    assert limits_of(message(channel="email", options=options), terms) == (cap, own)


@pytest.mark.parametrize(
    ("user_id", "caps", "counted"),
    [(7, True, True), (7, False, False), (None, True, False)],
)
def test_counts_are_read_only_for_people_under_limits(
    monkeypatch: pytest.MonkeyPatch, user_id: int | None, caps: bool, counted: bool
) -> None:
    asked: list[bool] = []

    def circumstances(_: Any, *, counts: bool) -> Circumstances:
        asked.append(counts)
        return Circumstances([], {}, {}, {})

    monkeypatch.setattr(facts, "load_circumstances", circumstances)
    monkeypatch.setattr(facts, "load_people", lambda _: People({}, {}))
    terms = CategoryTerms("payment", caps='[{"limit": 3, "window_s": 60}]' if caps else "")
    found = facts.load_facts([message(user_id=user_id)], "in_app", lambda _: terms)
    assert (asked, bool(found.limits)) == ([counted], counted)
